/** How llama.cpp and its back-ends say that memory ran out. */
export const memoryWords =
  /out of memory|insufficient memory|failed to allocate|unable to allocate|OutOf(Device|Host)Memory|bad_alloc|cannot allocate/i

/** A page of `docs/plans`. */
export interface PlanCase {
  /** Of the file, without its ending. */
  name: string
  title: string
  /** What a reader should see in it. */
  about: string
  /** Arguments of `drover plan`. */
  args: readonly string[]
}

export const planCases: readonly PlanCase[] = [
  {
    name: 'llama3.1-8b-on-8x4090',
    title: 'A small model on eight cards',
    about: 'One card holds it, so each card gets a copy: dividing it would only make it wait for the links.',
    args: ['llama3.1:8b', '--gpus', '8x4090', '--ctx', '8192'],
  },
  {
    name: 'llama3.1-70b-on-2x3090',
    title: '70B on two cards of 24 GB',
    about: 'The classic: half of the layers on each card, and as much context as is left over.',
    args: ['llama3.1:70b', '--gpus', '2x3090'],
  },
  {
    name: 'llama3.1-70b-on-four-unlike-cards',
    title: '70B on four unlike cards',
    about:
      'A long context needs more than the two best cards, so the layers are divided by memory and speed.',
    args: ['llama3.1:70b', '--gpus', '4090,3090,3060,p40', '--ctx', '65536', '--slots', '1'],
  },
  {
    name: 'llama3.1-70b-on-nvidia-and-amd',
    title: 'NVIDIA and AMD in one machine',
    about: 'One process with two backends: layers can be passed on from one vendor to the other.',
    args: ['llama3.1:70b', '--gpus', '3090,7900xtx', '--ctx', '8192', '--slots', '1'],
  },
  {
    name: 'qwen3-32b-on-4x3090-nvlink',
    title: 'Four cards with two NVLink bridges',
    about: 'The bridges join the cards two by two; what lies on one pair need not cross the host.',
    args: ['qwen3:32b-q8_0', '--gpus', '4x3090 nvlink', '--ctx', '16384'],
  },
  {
    name: 'llama3.1-405b-on-two-boxes-of-8x3090',
    title: '405B over two boxes',
    about: "The second box serves its cards by llama.cpp's RPC, through an encrypted tunnel.",
    args: ['llama3.1:405b', '--gpus', '8x3090 / 8x3090 @10gbe', '--ctx', '8192', '--slots', '1'],
  },
  {
    name: 'gpt-oss-120b-on-one-card-and-128-gib',
    title: 'A mixture of experts on one card',
    about: 'Attention stays on the card; experts, of which a token reads few, lie in host memory.',
    args: ['gpt-oss:120b', '--gpus', '4090,cpu:128', '--ctx', '32768', '--slots', '1'],
  },
  {
    name: 'qwen3-30b-a3b-on-a-laptop',
    title: 'A mixture of experts on a card of 8 GB',
    about: 'The same on a small card.',
    args: ['qwen3:30b-a3b', '--gpus', '4060,cpu:32', '--ctx', '8192', '--slots', '1'],
  },
  {
    name: 'deepseek-r1-on-8xh200',
    title: 'DeepSeek-R1 on eight H200',
    about: 'NVLink joins each card with each, so every layer is divided over all of them.',
    args: ['deepseek-r1:671b-fp8', '--gpus', '8xH200,cpu:1024', '--ctx', '32768'],
  },
  {
    name: 'qwen3-235b-on-a-mac-studio',
    title: 'Qwen3 235B on a Mac Studio',
    about: "The GPU shares the host's memory, of which Metal lends it three quarters.",
    args: ['qwen3:235b-a22b', '--gpus', 'm2 ultra:192', '--ctx', '32768', '--slots', '1'],
  },
  {
    name: 'gemma3-27b-on-2x3060',
    title: 'Gemma 3 on two cards of 12 GB',
    about: 'Five layers of six keep only a window of the context, so a long one is cheap.',
    args: ['gemma3:27b', '--gpus', '2x3060', '--ctx', '32768', '--slots', '1'],
  },
  {
    name: 'mixtral-8x7b-on-3xp40',
    title: 'Mixtral on three old cards',
    about: 'Pascal computes in 32 bits, and has no links but PCIe 3: layers follow each other.',
    args: ['mixtral:8x7b-q8_0', '--gpus', '3xp40', '--ctx', '16384', '--slots', '2'],
  },
  {
    name: 'llama3.1-70b-on-a-small-card',
    title: 'What does not fit',
    about: 'A refusal says what is missing, and what would help.',
    args: ['llama3.1:70b', '--gpus', '3060,cpu:16', '--ctx', '8192'],
  },
]

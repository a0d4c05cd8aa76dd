/** The version of Ollama whose API and command line these are; clients switch features on by it. */
export const ollamaVersion = '0.33.0'

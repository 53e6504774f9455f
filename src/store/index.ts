export { createKeyFile, type KeyFile, type KeyFileOptions } from './key-file.ts';

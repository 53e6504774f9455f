// The version that clients see: the TorchServe release whose surface Davy serves.
export const SERVER_VERSION = '0.12.0';

// What `/token` needs from whoever keeps the keys (surface spec 6.5).

export interface TokenRotation {
  /** Makes a new key; the old one stops working at once and the expiry starts again. Rejects when it cannot be stored. */
  rotate(type: 'management' | 'inference'): Promise<void>;
}

// Numbers as the Prometheus Java client prints them: dashboards and tests match `8.0` and `1.0E7` (surface spec 4.1).

/** `Double.toString`, with `+Inf`, `-Inf` and `NaN` for what is no number. */
export function javaDouble(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return Object.is(value, -0) ? '-0.0' : `${value}.0`;
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e7 ? String(value) : scientific(value);
}

/** One digit before the point and at least one behind it; the exponent without a plus. */
function scientific(value: number): string {
  const [digits = '0', exponent = '0'] = value.toExponential().split('e');
  return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`;
}

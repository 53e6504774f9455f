// The name of a model that neither the request nor the manifest names (surface spec 7.5).

/** Base name of the reference, cut at its archive extension, with everything but word characters replaced. */
export function fallbackModelName(url: string): string {
  const base = fileNameOf(url);
  const stem = base.includes('.model') || base.includes('.mar') ? base.slice(0, base.lastIndexOf('.')) : base;
  return stem.replace(/(\W|^_)/g, '_');
}

/** Last path component of a reference, without query or fragment where it is a URL (surface spec 8.6). */
export function fileNameOf(url: string): string {
  const isUrl = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(url);
  const path = isUrl ? url.replace(/[?#].*$/s, '') : url;
  // By hand: the expression /\/+$/ takes quadratic time on slashes that are not at the end.
  let end = path.length;
  while (path[end - 1] === '/') end--;
  return path.slice(path.lastIndexOf('/', end - 1) + 1, end);
}

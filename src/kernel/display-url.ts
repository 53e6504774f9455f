// Model references as they may be shown: the query of a presigned URL is a secret, and so is its userinfo.

/** Also takes `name=URL`, and references that are no URLs, and gives those back as they are. */
export function displayUrl(text: string): string {
  return text.replace(/[?#].*$/s, '').replace(/^((?:[^=/]*=)?[a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}

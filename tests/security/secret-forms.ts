/**
 * The forms in which a secret may stand in what a program writes: as it is, escaped for URLs (once and twice), for JSON
 * and for XML, and as base64, of which only those characters are fixed that don't depend on what stands before and behind.
 */
export function formsOf(secret: string): readonly string[] {
  const once = encodeURIComponent(secret);
  const forms = [
    secret,
    once,
    encodeURIComponent(once),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll('/', '\\/'),
    secret.replaceAll('&', '&amp;'),
    ...[0, 1, 2].map((before) => base64Within(secret, before)),
  ];
  return [...new Set(forms.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]))];
}

function base64Within(secret: string, before: number): string {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret, 'utf8')]);
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3)).toString('base64');
  return whole.slice(Math.ceil((before * 8) / 6));
}

export interface Secret {
  readonly name: string;
  readonly value: string;
}

/** What was written somewhere, and where. */
export interface Written {
  readonly where: string;
  readonly text: string;
}

/**
 * What any URL with a signature has, whichever secret made it: of a presigned URL and of a SAS. A `*` in place of the value
 * is what redacting leaves.
 */
const SIGNATURES: readonly RegExp[] = [
  /X-Amz-(?:Signature|Security-Token|Credential)(?:=|%3D|%253D)(?!\*)/i,
  /\bSignature=[0-9a-f]{64}/i,
  /[?&;]sig(?:=|%3D|%253D)(?!\*)/i,
  /%26sig%3D/i,
  /\bBearer +(?!\*)[\w-]{20,}/,
];
const SIGNATURES_IN_BASE64 = ['X-Amz-Signature=', 'X-Amz-Security-Token='].flatMap((marker) =>
  [0, 1, 2].map((before) => base64Within(marker, before)),
);

/** Each secret or signature that stands in what was written: its name and where, never itself. */
export function findLeaks(written: Iterable<Written>, secrets: readonly Secret[]): readonly string[] {
  const wanted = secrets.map(({ name, value }) => ({ name, forms: formsOf(value) }));
  const leaks = new Set<string>();
  for (const { where, text } of written) {
    for (const { name, forms } of wanted)
      if (forms.some((form) => text.includes(form))) leaks.add(`${name} in ${where}`);
    if (SIGNATURES.some((pattern) => pattern.test(text))) leaks.add(`a signature in ${where}`);
    if (SIGNATURES_IN_BASE64.some((form) => text.includes(form)))
      leaks.add(`a signature as base64 in ${where}`);
  }
  return [...leaks].sort();
}

/**
 * Decimals as the stand-in keeps them: integers scaled by 10^17, at most 38 digits. The service has 34 significant
 * digits at any scale; what can't be said exactly here is refused, never rounded.
 */
export const DECIMAL_SCALE = 17;
const ONE = 10n ** BigInt(DECIMAL_SCALE);
const LIMIT = 10n ** 38n;

/** @returns null for text that is no decimal. @throws Error for one with more digits than can be kept. */
export function parseDecimal(text: string): bigint | null {
  const match = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?\s*$/i.exec(text);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match ?? [];
  if (!match || whole + fraction === '') return null;
  const shift = DECIMAL_SCALE - fraction.length + Number(exponent);
  const digits = BigInt(whole + fraction);
  const scaled =
    shift >= 0 ? digits * 10n ** BigInt(shift) : divideExactly(digits, 10n ** BigInt(-shift), text);
  return checkRange(sign === '-' ? -scaled : scaled, text);
}

/** Without zeros at the end. */
export function formatDecimal(scaled: bigint): string {
  const value = scaled < 0n ? -scaled : scaled;
  const fraction = (value % ONE).toString().padStart(DECIMAL_SCALE, '0').replace(/0+$/, '');
  return `${scaled < 0n ? '-' : ''}${value / ONE}${fraction === '' ? '' : `.${fraction}`}`;
}

export function multiplyDecimals(left: bigint, right: bigint): bigint {
  return checkRange(divideExactly(left * right, ONE, 'a product'), 'a product');
}

/** By zero gives null. */
export function divideDecimals(left: bigint, right: bigint): bigint | null {
  if (right === 0n) return null;
  return checkRange(divideExactly(left * ONE, right, 'a quotient'), 'a quotient');
}

function divideExactly(value: bigint, divisor: bigint, what: string): bigint {
  if (value % divisor !== 0n)
    throw new Error(`decimals with more than ${DECIMAL_SCALE} digits after the point (${what})`);
  return value / divisor;
}

function checkRange(scaled: bigint, what: string): bigint {
  if (scaled >= LIMIT || scaled <= -LIMIT)
    throw new Error(`decimals with more than ${38 - DECIMAL_SCALE} digits before the point (${what})`);
  return scaled;
}

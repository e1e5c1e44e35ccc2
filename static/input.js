// What people type: names, addresses, codes and lines, and what is wrong with them. No DOM, no messages.

/** As in the server's `limits.rs`, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 120;
export const EMAIL_BYTES_MAX = 120;
export const TEXT_BYTES_MAX = 65_536;

const encoder = new TextEncoder();

/** The name that the server will make of what was typed: `@Ada` is Ada. */
export const nameIn = (typed) => typed.normalize('NFKC').replace(/\s+/g, ' ').replace(/^[ @]+| $/g, '');

/** Returns what is wrong with a name from `nameIn`, or nothing; so do the others. */
export function nameError(name) {
  if (!name) return 'Enter a name.';
  if (/^\S+@\S+\.\S+$/.test(name)) return 'That is an email address, which everybody would see. Enter a name.';
  return tooLong('The name', name, NAME_BYTES_MAX);
}

export const emailError = (email) => (email ? tooLong('The address', email, EMAIL_BYTES_MAX) : 'Enter your email address.');
export const textError = (text) => tooLong('The message', text, TEXT_BYTES_MAX);

function tooLong(what, text, bytesMax) {
  const over = encoder.encode(text).length - bytesMax;
  return over > 0 ? `${what} is ${over} byte${over > 1 ? 's' : ''} too long.` : '';
}

/** Whether a line shows anything: not only white space, controls, format characters, and what is drawn as nothing. */
export const isVisible = (text) => /[^\s\p{Z}\p{Cc}\p{Cf}\p{DI}\u2800\u2d7f\ufffc\u{1107f}\u{13441}\u{13442}\u{1d159}]/u.test(text);

/**
 * Finds the code in what was typed or pasted, with a whole email around it or not. Of several words that can be the code, it is
 * rather one with a digit, then one in capitals, then one after the word "code". It is sure of the only one, with a digit, or in
 * capitals after "code": other words may be a part of the text.
 */
export function codeIn(typed, chars) {
  const words = typed.normalize('NFKC').match(/[0-9a-z]+/gi) ?? [];
  const joined = words.join('').toUpperCase();
  // The server reads O as 0, and I and L as 1.
  if (joined.length <= chars) return { code: joined, isSure: !joined.includes('U') };
  let isAfterCode = false;
  const ranks = new Map();
  for (const word of words) {
    // Codes have no I, L, O and U.
    if (word.length === chars && !/[ilou]/i.test(word)) {
      const code = word.toUpperCase();
      const rank = 4 * /\d/.test(word) + 2 * (word === code) + isAfterCode;
      ranks.set(code, Math.max(rank, ranks.get(code) ?? 0));
      isAfterCode = false;
    }
    isAfterCode ||= /^code$/i.test(word);
  }
  const [code = ''] = [...ranks.keys()].sort((one, other) => ranks.get(other) - ranks.get(one));
  return { code, isSure: ranks.size === 1 && ranks.get(code) > 2 };
}

// What the page says to people: one place, one voice. No DOM.

import { REASON } from './protocol.js';

const NOTICES = {
  [REASON.MALFORMED]: 'The server did not understand this page. Please reload it.',
  [REASON.BAD_NAME]: 'This name cannot be used. Please take a plainer one.',
  [REASON.BAD_EMAIL]: 'This is not an e-mail address.',
  [REASON.MAIL_LIMITED]: 'Too many codes were asked for.',
  [REASON.MAIL_FAILED]: 'The mail could not be sent. Is the address right?',
  [REASON.TOO_MANY_TRIES]: 'Too many wrong codes. Please ask for a new one.',
  [REASON.TOO_LONG]: 'Your line was too long: its end was cut',
  [REASON.GAP]: 'Some lines are missing here',
  [REASON.RESTARTING]: 'The server restarts.',
};

export const ENTER_NAME = 'What shall we call you?';
export const ENTER_EMAIL = 'Where shall we send the code?';
export const CODE_SHORT = 'The code has six letters and digits.';
export const CODE_SENT = 'A new code is on its way; the old one is void.';
export const NAME_TAKEN = 'This name belongs to somebody else, or looks like one that does.';
export const SESSION_OVER = 'Your session is over. Please enter again.';
export const LEFT_ELSEWHERE = 'You left the room in another tab or device.';
export const HUNG_UP = 'The server ended the connection. Please try again.';
export const NO_SERVER = 'No connection. Still trying…';

/** A notice in words: ours for a reason that we know, else the server's own. */
export function noticeWords({ reason, text, retry }) {
  const words = NOTICES[reason] ?? text;
  return retry > 0 ? `${words} Please try again in ${duration(retry)}.` : words;
}

export function wrongCodeWords(left) {
  if (left === 0) return 'This code is no longer good. Please ask for a new one.';
  return `That is not the code.${left > 0 ? ` ${left} ${left === 1 ? 'try' : 'tries'} left.` : ''}`;
}

export const people = (count) => (count === 1 ? '1 person' : `${count} people`);

/** Never less than is true. */
const duration = (seconds) => (seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`);

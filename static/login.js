// The way in: the two forms, and what waits for an answer. Asks and is told; holds no socket.

import { byId, onSubmit, person, session } from './dom.js';
import { CODE_CHARS, REASON, auth, hello } from './protocol.js';

const AGAIN_AFTER_S = 30;

/** `ask(message)`, `show(view, focus)`, `hangUp()` */
let on;

export function setUpLogin(hooks) {
  on = hooks;
}

const name = byId('name');
const email = byId('email');
const code = byId('code');
const again = byId('again');
let isVerifying = false;
let tried = '';
/** The message that waits for its answer; each new connection says it again. */
let unsettled = null;
/** When another code may be asked for. */
let againAt = 0;
let againTimer = 0;

onSubmit('enter-form', () => {
  showError('');
  if (!name.value.trim()) showError('What shall we call you?', name);
  else if (!email.value.trim()) showError('Where shall we send the code?', email);
  else requestCode();
});
onSubmit('verify-form', submitCode);
again.onclick = () => again.ariaDisabled === 'true' || requestCode();
byId('other').onclick = () => {
  session.set(null);
  showEnter();
};
byId('forget').onclick = () => {
  person.set(null);
  name.value = email.value = '';
  showEnter();
};
/** A complete code sends itself, but a wrong one not again. */
code.oninput = () => {
  const typed = codeIn(code.value);
  if (typed !== code.value.toUpperCase()) code.value = typed;
  showError('');
  if (typed.length === codeChars() && typed !== tried) submitCode();
};

export const unansweredRequest = () => unsettled;

/** Shows the first form, or the second if a code is on its way; `why` says what brought somebody back. */
export function showEnter(why = '', field = null) {
  on.hangUp();
  resetLogin();
  const known = person.get();
  name.value ||= known.name ?? '';
  email.value ||= known.email ?? '';
  byId('forget').hidden = !known.email;
  // A phone that ran out of memory loads the page again while its owner reads mail.
  if (session.get().flow) return verify('');
  on.show('enter-view', [name, email].find(({ value }) => !value) ?? byId('enter'));
  showError(why, field);
}

/** In, or back at the start: nothing waits any more. */
export function resetLogin() {
  onAnswered();
  isVerifying = false;
  code.value = '';
}

/** The code is on its way; the flow token makes it good on any connection. */
export function onCodeSent({ user, text, chars = CODE_CHARS }) {
  person.set({ name: user.name, email: email.value.trim() });
  session.set({ flow: text, chars });
  verify(isVerifying ? 'A new code is on its way.' : '');
  startWait(AGAIN_AFTER_S);
}

export function onWrongCode({ left }) {
  onAnswered();
  const tries = `${left} ${left === 1 ? 'try' : 'tries'} left.`;
  showError(left === 0 ? 'That code has expired. Please ask for a new one.' : `Wrong code. ${tries}`, code);
  code.select();
}

export function onNameRefused({ reason }) {
  session.set(null);
  const isOneTooMany = reason === REASON.TOO_MANY_NAMES;
  showEnter(isOneTooMany ? 'This email address has three names already. Please use one of them.' : 'That name is taken, or too similar to one that is.', name);
}

export function onNotice({ reason, text, retry }) {
  // A mail fails late: that answers nothing that was asked since.
  if (reason !== REASON.MAIL_FAILED) onAnswered();
  // While a code is awaited, the button tells how long.
  const wait = retry && !isVerifying ? ` Please wait ${duration(retry)}.` : '';
  showError(text + wait, { [REASON.BAD_NAME]: name, [REASON.BAD_EMAIL]: email }[reason]);
  startWait(retry ?? 0);
}

/** Who waits for an answer is told when there is nobody to give it. */
export function showConnection({ is }) {
  if (!unsettled) return;
  if (is === 'waiting') showError('No connection. Still trying…');
  if (is === 'open') showError('');
  if (is !== 'refused') return;
  onAnswered();
  showError('Disconnected. Please try again.');
}

function verify(said) {
  onAnswered();
  isVerifying = true;
  tried = code.value = '';
  byId('verify-email').textContent = email.value.trim();
  on.show('verify-view', code);
  showError('');
  byId('verify-note').textContent = said;
  startWait(0);
}

function requestCode() {
  ask(hello(name.value.trim(), email.value.trim()));
}

function submitCode() {
  tried = codeIn(code.value);
  if (tried.length === codeChars()) ask(auth(tried, session.get().flow));
  else showError(`The code has ${codeChars()} letters and digits.`, code);
}

function ask(message) {
  if (unsettled) return;
  unsettled = message;
  document.body.ariaBusy = true;
  on.ask(message);
}

function onAnswered() {
  unsettled = null;
  document.body.ariaBusy = false;
}

/** Not disabled, for then it would lose the focus of who waits for it. */
function startWait(seconds) {
  againAt = Math.max(againAt, Date.now() + seconds * 1000);
  const left = Math.ceil((againAt - Date.now()) / 1000);
  clearTimeout(againTimer);
  if (left > 0) againTimer = setTimeout(startWait, 1000, 0);
  again.ariaDisabled = left > 0;
  again.textContent = left > 0 ? `Send again in ${duration(left)}` : 'Send again';
}

/** Says in the open view what is wrong, beside the field that it is about. */
function showError(text, field = null) {
  for (const input of [name, email, code]) input.ariaInvalid = input === field;
  const error = byId(isVerifying ? 'verify-error' : 'enter-error');
  error.textContent = text;
  byId('verify-note').textContent = '';
  if (!isVerifying) (field ?? email).after(error);
  field?.focus();
}

/** The code in what was typed or pasted, even with a whole sentence around it. */
function codeIn(text) {
  const parts = text.toUpperCase().match(/[0-9A-Z]+/g) ?? [];
  return parts.findLast((part) => part.length === codeChars()) ?? parts.join('').slice(0, codeChars());
}

/** An address that somebody guesses at has a longer code. */
const codeChars = () => session.get().chars ?? CODE_CHARS;

/** Never less than is true. */
const duration = (seconds) => (seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} minutes`);

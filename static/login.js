// The way in: the two forms, and the request that waits for an answer. Holds no socket.

import { byId, onSubmit, person, shared, tab } from './dom.js';
import { codeIn, emailError, nameError, nameIn } from './input.js';
import { CODE_CHARS, REASON, auth, hello } from './protocol.js';

const AGAIN_AFTER_S = 30;

/** `ask(message)`, `show(view, focus)`, `hangUp()` */
let loginHooks;

export function setUpLogin(hooks) {
  loginHooks = hooks;
}

const name = byId('name');
const email = byId('email');
const alone = byId('alone');
const code = byId('code');
const again = byId('again');
let isVerifying = false;
let tried = '';
/** The message that waits for its answer; each new connection sends it again. */
let unanswered = null;
/** When another code may be asked for. */
let againAt = 0;
let againTimer = 0;

onSubmit('enter-form', () => {
  const nameFault = nameError(nameIn(name.value));
  const fault = nameFault || emailError(email.value.trim());
  showError(fault, fault ? (nameFault ? name : email) : null);
  tab.set({ isAlone: alone.checked });
  if (!fault) requestCode();
});
// The shared session would be resumed as whoever it belongs to.
alone.onchange = () => {
  if (alone.checked || !shared.get().token) return;
  alone.checked = true;
  showError('You are logged in in another tab. Leave there first.');
};
onSubmit('verify-form', submitCode);
again.onclick = () => again.ariaDisabled === 'true' || requestCode();
byId('other').onclick = () => {
  tab.set({ flow: '' });
  showEnter();
};
byId('forget').onclick = () => {
  person.set(null);
  name.value = email.value = '';
  showEnter();
};
for (const type of ['input', 'compositionend']) code.addEventListener(type, readCode);

/** A complete code sends itself, but a wrong one not again, and a guess not at all. */
function readCode({ isComposing }) {
  if (isComposing) return;
  const { code: found, isSure } = codeIn(code.value, codeChars());
  if (found && found !== code.value.toUpperCase()) code.value = found;
  showError('');
  if (!isSure && found) byId('verify-note').textContent = 'Is this the code? Then press Verify.';
  if (isSure && found.length === codeChars() && found !== tried) submitCode();
}

export const unansweredRequest = () => unanswered;

/** Shows the first form, or the second if a code is on its way; `why` says what brought the user back. */
export function showEnter(why = '', field = null) {
  loginHooks.hangUp();
  resetLogin();
  const known = person.get();
  name.value ||= known.name ?? '';
  email.value ||= known.email ?? '';
  alone.checked = Boolean(tab.get().isAlone);
  byId('forget').hidden = !known.email;
  // A phone that ran out of memory loads the page again while its owner reads email.
  if (tab.get().flow) return verify('');
  loginHooks.show('enter-view', [name, email].find(({ value }) => !value) ?? byId('enter'));
  showError(why, field);
}

/** Logged in, or back at the start: nothing waits any more. */
export function resetLogin() {
  onAnswered();
  isVerifying = false;
  code.value = '';
}

/** The code is on its way; the flow token makes it good on any connection. */
export function onCodeSent({ user, text, chars = CODE_CHARS }) {
  person.set({ name: user.name, email: email.value.trim() });
  tab.set({ flow: text, chars });
  verify(isVerifying ? 'A new code is on its way.' : '');
  startWait(AGAIN_AFTER_S);
}

export function onWrongCode({ left }) {
  onAnswered();
  const tries = `${left} ${left === 1 ? 'try' : 'tries'} left.`;
  showError(left === 0 ? 'That code has expired. Please ask for a new one.' : `Wrong code. ${tries}`, code);
  code.select();
}

/** The door is shut for the address, or the name cannot be had. */
export function onRefused({ reason, text, retry }) {
  tab.set({ flow: '' });
  showEnter(text + waitIn(retry), [REASON.NOT_ADMITTED, REASON.LOCKED].includes(reason) ? email : name);
}

export function onNotice({ reason, text, retry }) {
  // An email fails late: that answers nothing that was asked since.
  if (reason !== REASON.MAIL_FAILED) onAnswered();
  // While a code is awaited, the button tells how long.
  showError(text + waitIn(!isVerifying && retry), { [REASON.BAD_NAME]: name, [REASON.BAD_EMAIL]: email }[reason]);
  startWait(retry ?? 0);
}

/** Where an answer is awaited, tells that none can come yet, and `why`. */
export function showConnection({ is }, why) {
  if (!unanswered) return;
  if (is === 'waiting') showError(`${why || 'No connection.'} Still trying…`);
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
  loginHooks.show('verify-view', code);
  showError('');
  byId('verify-note').textContent = said;
  startWait(0);
}

function requestCode() {
  request(hello(nameIn(name.value), email.value.trim()));
}

function submitCode() {
  tried = codeIn(code.value, codeChars()).code;
  if (tried.length === codeChars()) request(auth(tried, tab.get().flow));
  else showError(`The code has ${codeChars()} letters and digits.`, code);
}

function request(message) {
  if (unanswered) return;
  unanswered = message;
  document.body.ariaBusy = true;
  loginHooks.ask(message);
}

function onAnswered() {
  unanswered = null;
  document.body.ariaBusy = false;
}

/** Not disabled, or it would lose the focus. */
function startWait(seconds) {
  againAt = Math.max(againAt, performance.now() + seconds * 1000);
  const left = Math.ceil((againAt - performance.now()) / 1000);
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

/** An address that is guessed at has longer codes. */
const codeChars = () => tab.get().chars ?? CODE_CHARS;

const waitIn = (retry) => (retry ? ` Please wait ${duration(retry)}.` : '');

/** Never less than is true. */
const duration = (seconds) => (seconds < 90 ? `${seconds} s` : seconds < 5400 ? `${Math.ceil(seconds / 60)} minutes` : `${Math.ceil(seconds / 3600)} hours`);

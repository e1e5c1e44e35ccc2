// The way in: the two forms, and what waits for an answer. Asks and is told; holds no session and no socket.

import { byId, onSubmit } from './dom.js';
import { CODE_CHARS, REASON, auth, hello } from './protocol.js';
import { person } from './store.js';
import * as words from './words.js';

const name = byId('name');
const email = byId('email');
const code = byId('code');
const note = byId('verify-note');
let isVerifying = false;
let flow = '';
let tried = '';
/** The message that waits for its answer; each new connection says it again. */
let pending = null;
/** `ask(message)`, `show(view, focus)`, `hangUp()` */
let on;

export const unanswered = () => pending;

export function setUp(hooks) {
  on = hooks;
  onSubmit(byId('enter-form'), submitPerson);
  onSubmit(byId('verify-form'), submitCode);
  code.oninput = codeTyped;
  byId('again').onclick = askForCode;
  byId('other').onclick = () => enter();
  byId('forget').onclick = forget;
}

/** Shows the first form; `why` says what brought somebody back to it. */
export function enter(why = '', field = null) {
  on.hangUp();
  done();
  const known = person.get();
  name.value ||= known.name ?? '';
  email.value ||= known.email ?? '';
  byId('forget').hidden = !known.email;
  on.show('enter-view', [name, email].find(({ value }) => !value) ?? byId('enter'));
  complain(why, field);
}

/** In, or back at the start: nothing waits any more. */
export function done() {
  settle();
  isVerifying = false;
  code.value = '';
}

/** The code is on its way; the flow token makes it good on any connection. */
export function codeSent({ user, text }) {
  const said = isVerifying ? words.CODE_SENT : '';
  settle();
  isVerifying = true;
  flow = text;
  tried = '';
  code.value = '';
  person.set({ name: user.name, email: email.value.trim() });
  byId('verify-email').textContent = email.value.trim();
  on.show('verify-view', code);
  complain('');
  note.textContent = said;
}

export function wrongCode({ left }) {
  settle();
  complain(words.wrongCodeWords(left), code);
  code.select();
}

export const nameTaken = () => enter(words.NAME_TAKEN, name);

export function notice(message) {
  // A mail fails late: that answers nothing that was asked since.
  if (message.reason !== REASON.MAIL_FAILED) settle();
  complain(words.noticeWords(message), { [REASON.BAD_NAME]: name, [REASON.BAD_EMAIL]: email }[message.reason]);
}

/** Who waits for an answer is told when there is nobody to give it. */
export function connectionIs({ is }) {
  if (!pending) return;
  if (is === 'waiting') complain(words.NO_SERVER);
  if (is === 'open') complain('');
  if (is !== 'refused') return;
  settle();
  complain(words.HUNG_UP);
}

function submitPerson() {
  if (!name.value.trim()) return complain(words.ENTER_NAME, name);
  if (!email.value.trim()) return complain(words.ENTER_EMAIL, email);
  complain('');
  askForCode();
}

function askForCode() {
  ask(hello(name.value.trim(), email.value.trim()));
}

function submitCode() {
  tried = codeIn(code.value);
  if (tried.length === CODE_CHARS) ask(auth(tried, flow));
  else complain(words.CODE_SHORT, code);
}

/** A complete code sends itself, but a wrong one not again. */
function codeTyped() {
  const typed = codeIn(code.value);
  if (typed !== code.value.toUpperCase()) code.value = typed;
  complain('');
  if (typed.length === CODE_CHARS && typed !== tried) submitCode();
}

function ask(message) {
  if (pending) return;
  pending = message;
  document.body.ariaBusy = 'true';
  on.ask(message);
}

function settle() {
  pending = null;
  document.body.ariaBusy = 'false';
}

function forget() {
  person.set(null);
  name.value = email.value = '';
  enter();
}

/** Says in the open view what is wrong, beside the field that it is about. */
function complain(text, field = null) {
  for (const input of [name, email, code]) input.ariaInvalid = String(input === field);
  const error = byId(isVerifying ? 'verify-error' : 'enter-error');
  error.textContent = text;
  note.textContent = '';
  if (!isVerifying) (field ?? email).after(error);
  field?.focus();
}

/** The code in what was typed or pasted, even with a whole sentence around it. */
function codeIn(text) {
  const parts = text.toUpperCase().match(/[0-9A-Z]+/g) ?? [];
  const joined = parts.join('');
  if (joined.length <= CODE_CHARS) return joined;
  return parts.findLast((part) => part.length === CODE_CHARS) ?? joined.slice(0, CODE_CHARS);
}

// The way in, with a document that is just enough for it.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

const nodes = new Map();
const node = () => ({
  value: '',
  textContent: '',
  after() {},
  focus() {},
  select() {},
  addEventListener(type, listener) {
    this[type] = listener;
  },
});

globalThis.document = {
  baseURI: 'https://chat.example/',
  body: {},
  getElementById: (id) => nodes.get(id) ?? nodes.set(id, node()).get(id),
};

const login = await import('../../static/login.js');
const { shared, tab } = await import('../../static/dom.js');

const byId = (id) => document.getElementById(id);
let asked;
let shown;

login.setUpLogin({
  ask: (message) => asked.push(message),
  show: (view) => (shown = view),
  hangUp() {},
});

afterEach(() => mock.timers.reset());

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  asked = [];
  byId('other').onclick();
  byId('name').value = 'Ada';
  byId('email').value = 'ada@example.org';
  byId('enter-form').onsubmit({ preventDefault() {} });
  assert.deepEqual(asked.pop(), { type: 0, text: 'Ada\nada@example.org' });
});

const lately = {
  reason: 'mail-limited',
  text: 'A code was sent to this address recently and is still valid.',
  retry: 540,
};

function type(code, event = { type: 'input' }) {
  byId('code').value = code;
  byId('code').input(event);
}

test('a code that was sent lately is asked for, and the button tells when another one can be sent', () => {
  login.onCodeSent({ user: { name: 'Ada' }, text: 'flow' });
  login.onNotice(lately);
  assert.equal(shown, 'verify-view');
  assert.equal(byId('verify-error').textContent, lately.text);
  assert.equal(byId('verify-note').textContent, '');
  assert.equal(byId('again').textContent, 'Send again in 9 minutes');
  type('7kq2zd');
  assert.deepEqual(asked, [{ type: 2, text: '7KQ2ZD', flow: 'flow' }]);
});

test('where there is no code, the first form tells how long to wait', () => {
  login.onNotice({ reason: 'mail-limited', text: 'Too many.', retry: 40 });
  assert.equal(shown, 'enter-view');
  assert.equal(byId('enter-error').textContent, 'Too many. Please wait 40 s.');
});

test('what the door says stands at the email, and what is wrong with a name at the name', () => {
  for (const [refusal, field, words] of [
    [{ reason: 'not-admitted', text: 'Not open to you.' }, 'email', 'Not open to you.'],
    [{ reason: 'locked', text: 'No newcomers.', retry: 89 }, 'email', 'No newcomers. Please wait 89 s.'],
    [{ reason: 'locked', text: 'No newcomers.', retry: 601 }, 'email', 'No newcomers. Please wait 11 minutes.'],
    [{ reason: 'locked', text: 'No newcomers.', retry: 86_400 }, 'email', 'No newcomers. Please wait 24 hours.'],
    [{ reason: 'name-taken', text: 'That name is taken.' }, 'name', 'That name is taken.'],
    [{ reason: 'too-many-names', text: 'Too many names.' }, 'name', 'Too many names.'],
  ]) {
    login.onCodeSent({ user: { name: 'Ada' }, text: 'flow' });
    login.onRefused(refusal);
    assert.equal(shown, 'enter-view');
    assert.equal(byId('enter-error').textContent, words);
    for (const id of ['name', 'email']) assert.equal(byId(id).ariaInvalid, id === field, `${refusal.reason}: ${id}`);
    assert.equal(byId('email').value, 'ada@example.org', 'nothing is lost');
  }
});

test('a code sends itself when it is as long as the hello said', () => {
  login.onCodeSent({ user: { name: 'Ada' }, text: 'flow', chars: 12 });
  type('7KQ2ZD');
  assert.deepEqual(asked, []);
  type('Your code: 7kq2zd9xw4ht');
  assert.deepEqual(asked.pop(), { type: 2, text: '7KQ2ZD9XW4HT', flow: 'flow' });
  login.onWrongCode({ left: 4 });
  login.onCodeSent({ user: { name: 'Ada' }, text: 'next' });
  type('7KQ2ZD');
  assert.deepEqual(asked.pop(), { type: 2, text: '7KQ2ZD', flow: 'next' });
});

test('a guess among several words is shown, and not sent', () => {
  login.onCodeSent({ user: { name: 'Ada' }, text: 'flow' });
  type('Andrea wrote: Your login code is 7kq2zd');
  assert.deepEqual(asked, []);
  assert.equal(byId('code').value, '7KQ2ZD');
  assert.match(byId('verify-note').textContent, /press Verify/);
  byId('verify-form').onsubmit({ preventDefault() {} });
  assert.deepEqual(asked, [{ type: 2, text: '7KQ2ZD', flow: 'flow' }]);
});

test('while an input method composes, the field is left alone', () => {
  login.onCodeSent({ user: { name: 'Ada' }, text: 'flow' });
  type('７kq2zd', { type: 'input', isComposing: true });
  assert.equal(byId('code').value, '７kq2zd');
  byId('code').compositionend({ type: 'compositionend' });
  assert.equal(byId('code').value, '7KQ2ZD');
  assert.equal(asked.length, 1);
});

test('what is too long, or no name, is not sent, and nothing is cut', () => {
  login.resetLogin();
  for (const [name, email, error] of [
    ['ü'.repeat(61), 'ada@example.org', 'The name is 2 bytes too long.'],
    ['Ada', `ada@${'m'.repeat(110)}.museum`, 'The address is 1 byte too long.'],
    ['ada@example.org', 'ada@example.org', 'That is an email address, which everybody would see. Enter a name.'],
    [' ', 'ada@example.org', 'Enter a name.'],
    ['Ada', ' ', 'Enter your email address.'],
  ]) {
    byId('name').value = name;
    byId('email').value = email;
    byId('enter-form').onsubmit({ preventDefault() {} });
    assert.deepEqual(asked, [], name);
    assert.equal(byId('enter-error').textContent, error);
    assert.equal(byId('name').value, name);
    assert.equal(byId('email').value, email);
  }
  byId('name').value = '@Grace';
  byId('email').value = 'g@example.org';
  byId('enter-form').onsubmit({ preventDefault() {} });
  assert.deepEqual(asked, [{ type: 0, text: 'Grace\ng@example.org' }]);
});

test('beside a session of other tabs, a tab keeps its own', () => {
  const alone = byId('alone');
  shared.set({ token: 'of Ada' });
  login.showEnter();
  for (const [isChecked, isKept, words] of [
    [true, true, ''],
    [false, true, 'You are logged in in another tab. Leave there first.'],
  ]) {
    alone.checked = isChecked;
    alone.onchange();
    assert.equal(alone.checked, isKept);
    assert.equal(byId('enter-error').textContent, words);
  }
  byId('enter-form').onsubmit({ preventDefault() {} });
  assert.equal(tab.get().isAlone, true);
  shared.set({ token: '' });
  alone.checked = false;
  alone.onchange();
  assert.equal(alone.checked, false, 'no session is left');
});

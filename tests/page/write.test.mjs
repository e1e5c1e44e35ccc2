// The message field, with a document that is just enough for it.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

const nodes = new Map();

class Node {
  children = [];
  style = {};
  listeners = {};
  #own = '';
  selection = null;
  #value = '';

  get value() {
    return this.#value;
  }

  // The caret goes to the end, as in a browser.
  set value(value) {
    this.#value = value;
    this.selection = [value.length, value.length];
  }

  get selectionStart() {
    return this.selection[0];
  }

  get selectionEnd() {
    return this.selection[1];
  }

  setSelectionRange(...selection) {
    this.selection = selection;
  }

  get textContent() {
    return this.#own + this.children.map(({ textContent }) => textContent).join('');
  }

  set textContent(text) {
    this.children = [];
    this.#own = text;
  }

  replaceChildren(...children) {
    this.#own = '';
    this.children = children;
  }

  focus() {}

  requestSubmit() {
    this.onsubmit({ preventDefault() {} });
  }

  addEventListener() {}
}

globalThis.document = {
  baseURI: 'https://chat.example/',
  createElement: () => new Node(),
  getElementById: (id) => nodes.get(id) ?? nodes.set(id, new Node()).get(id),
};

const write = await import('../../static/write.js');

const byId = (id) => document.getElementById(id);
const field = byId('text');
const hints = byId('hints');
const HELP = ['/help: lists the commands', '/who NAME: says how long someone has been here', '/whois NAME: the same', '/mute NAME [FOR] [WHY]: refuses lines'].join('\n');
let said = [];
let isAsked = 0;
let isIn = true;

write.setUpWriting({
  submitLine: (line) => said.push(line),
  names: () => ['Ada', 'Adam', 'Grace'],
  askCommands: () => isIn && (isAsked += 1) && [],
});

beforeEach(() => {
  write.setDraft();
  write.setCommands();
  said = [];
  isAsked = 0;
  isIn = true;
});

const rows = () => hints.children.map(({ textContent }) => textContent);
const error = () => byId('text-error').textContent;

function type(text) {
  field.value = text;
  field.oninput();
}

function press(key) {
  let isTaken = false;
  field.onkeydown({ key, preventDefault: () => (isTaken = true) });
  return isTaken;
}

test('what is refused comes back with the reason, and nothing that was typed since is lost', () => {
  for (const [typed, caret, refused, value, caretAfter] of [
    ['', 0, 'one', 'one', 3],
    ['typed since', 5, 'one', 'typed since\none', 5],
    ['typed since', 5, '/identify secret', '/identify secret\ntyped since', 28],
    ['', 0, ' /kick Bbo', ' /kick Bbo', 10],
    ['/kick Bob', 9, 'one', '/kick Bob\none', 9],
  ]) {
    type(typed);
    field.setSelectionRange(caret, caret);
    write.takeBack(refused, 'You are muted.');
    assert.equal(field.value, value);
    assert.equal(field.selectionStart, caretAfter);
    assert.equal(error(), 'You are muted.');
    type(`${field.value}!`);
    assert.equal(error(), 'You are muted.', 'it can still be read while one types');
    press('Enter');
    assert.deepEqual(said.splice(0), [`${value}!`]);
    assert.equal(error(), '', 'another try, another answer');
  }
});

test('lines that are refused in a row keep their order', () => {
  for (const line of ['one', 'two', 'three']) write.takeBack(line, 'Slow mode is on.');
  assert.equal(field.value, 'one\ntwo\nthree');
});

test('a slash asks the server for its commands, once, and shows those that begin so', () => {
  for (const text of ['hello', 'a /b', '/usr/bin', '//x', '/Help']) {
    type(text);
    assert.equal(isAsked, 0, text);
  }
  type('/');
  type('/w');
  assert.equal(isAsked, 1);
  assert.deepEqual(rows(), [], 'not yet');
  write.setCommands(HELP);
  for (const [text, count, live] of [
    ['/w', 2, 'off'],
    ['/', 4, 'off'],
    ['/who', 2, 'off'],
    ['/who ', 1, 'polite'],
    [' /mute Bob 5m', 1, 'polite'],
    ['/me waves', 0, 'off'],
    ['/whom ', 0, 'off'],
    ['/help', 1, 'polite'],
    ['', 0, 'off'],
  ]) {
    type(text);
    assert.equal(rows().length, count, text);
    assert.equal(hints.ariaLive, live, text);
  }
  assert.equal(isAsked, 1);
  // The next connection may be a moderator's, or to another version.
  write.setCommands();
  type('/');
  assert.equal(isAsked, 2);
});

test('without a connection the commands are asked for later', () => {
  isIn = false;
  type('/');
  assert.deepEqual(rows(), []);
  isIn = true;
  type('/h');
  assert.equal(isAsked, 1);
});

test('the same line of help is not read again with each letter', () => {
  write.setCommands(HELP);
  type('/mute B');
  const [row] = hints.children;
  type('/mute Bo');
  assert.equal(hints.children[0], row);
});

test('a command is completed by Tab, or taken from the list, and what follows it stays', () => {
  write.setCommands(HELP);
  type('/w');
  assert.equal(press('Tab'), true);
  assert.equal(field.value, '/who ');
  press('Tab');
  assert.equal(field.value, '/whois ');
  type('/mut');
  hints.onclick({ target: hints.children[0] });
  assert.equal(field.value, '/mute ');
  type(' /mute Bob 5m');
  hints.onclick({ target: hints.children[0] });
  assert.equal(field.value, ' /mute Bob 5m');
  hints.onclick({ target: hints });
  assert.equal(field.value, ' /mute Bob 5m', 'beside a row');
  type('/mute @a');
  press('Tab');
  assert.equal(field.value, '/mute @Ada ');
});

test('Tab takes each name once, and then moves the focus', () => {
  for (const [text, values] of [
    ['@a', ['@Ada ', '@Adam ']],
    ['hi @gr', ['hi @Grace ']],
    ['hi @Grace ', []],
    ['3 @ ', []],
    ['@Grace\n', []],
  ]) {
    type(text);
    for (const value of values) {
      assert.equal(press('Tab'), true, text);
      assert.equal(field.value, value);
    }
    assert.equal(press('Tab'), false, text);
    assert.equal(field.value, values.at(-1) ?? text);
  }
});

test('a line that shows nothing is not sent', () => {
  for (const [text, expected] of [
    [' \u200b', []],
    ['\ufffc', []],
    ['/me', []],
    ['/me \u200b', []],
    ['/me \u2800\u2d7f', []],
    ['`\u200b`', []],
    ['``` ```', []],
    ['/me ``\u3164``', []],
    ['```', ['```']],
    ['`x`', ['`x`']],
    ['/me .', ['/me .']],
    ['/mean', ['/mean']],
    ['a /me', ['a /me']],
  ]) {
    type(text);
    press('Enter');
    assert.deepEqual(said.splice(0), expected, JSON.stringify(text));
    assert.equal(field.value, expected.length > 0 ? '' : text, 'nothing is lost');
  }
});

// What people type, and the tables that the server is tested with as well.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EMAIL_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, codeIn, emailError, isVisible, nameError, nameIn } from '../../static/input.js';
import { keyOf } from '../../static/room.js';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

test('names are compared as the server compares them', () => {
  for (const [one, other, isSame] of JSON.parse(read('../data/names.json'))) {
    assert.equal(keyOf(one) === keyOf(other), isSame, `${one} ${other}`);
  }
});

test('a line that nobody can see is no line', () => {
  for (const [line, isSeen] of JSON.parse(read('../data/lines.json'))) {
    assert.equal(isVisible(line), isSeen, JSON.stringify(line));
  }
});

test('the limits are the server’s', () => {
  const limits = read('../../src/limits.rs');
  for (const [name, value] of Object.entries({ NAME_BYTES_MAX, EMAIL_BYTES_MAX, TEXT_BYTES_MAX })) {
    const [, written] = limits.match(new RegExp(`${name}: usize = ([0-9_]+);`));
    assert.equal(Number(written.replaceAll('_', '')), value, name);
  }
});

test('a name is what the server makes of it, and too long by as much as the server counts', () => {
  for (const [typed, name, error] of [
    ['Ada', 'Ada', ''],
    ['  Ada \t Lovelace ', 'Ada Lovelace', ''],
    ['@Grace', 'Grace', ''],
    [' @ Grace', 'Grace', ''],
    ['＠Grace', 'Grace', ''],
    ['Ａｄａ', 'Ada', ''],
    ['', '', 'Enter a name.'],
    [' @ ', '', 'Enter a name.'],
    ['x'.repeat(120), 'x'.repeat(120), ''],
    ['x'.repeat(121), 'x'.repeat(121), 'The name is 1 byte too long.'],
    ['ü'.repeat(60), 'ü'.repeat(60), ''],
    ['u\u0308'.repeat(60), 'ü'.repeat(60), ''],
    ['ü'.repeat(61), 'ü'.repeat(61), 'The name is 2 bytes too long.'],
    ['李'.repeat(41), '李'.repeat(41), 'The name is 3 bytes too long.'],
    ['🐙'.repeat(31), '🐙'.repeat(31), 'The name is 4 bytes too long.'],
    ['ada@example.org', 'ada@example.org', 'That is an email address, which everybody would see. Enter a name.'],
    ['ada @ work', 'ada @ work', ''],
  ]) {
    assert.equal(nameIn(typed), name, typed);
    assert.equal(nameError(name), error, typed);
  }
});

test('an address is not cut', () => {
  const long = `ada@${'m'.repeat(109)}.museum`;
  assert.equal(emailError(long), '');
  assert.equal(emailError(`${long}12345`), 'The address is 5 bytes too long.');
  assert.equal(emailError(''), 'Enter your email address.');
});

test('the code is found in what was typed or pasted', () => {
  const email = 'Your login code for Plume.chat:\n\n    7KQ2ZD\n\n';
  for (const [typed, code, isSure, chars = 6] of [
    ['7kq2zd', '7KQ2ZD', true],
    ['7kq 2zd', '7KQ2ZD', true],
    ['7kq-2zd', '7KQ2ZD', true],
    ['7kq2', '7KQ2', true],
    ['', '', true],
    ['７ｋｑ２ｚｄ', '7KQ2ZD', true],
    [`${email}Nobody can log in without it.`, '7KQ2ZD', true],
    [`${email}Sent from my iPhone`, '7KQ2ZD', true],
    [`${email}${email}`, '7KQ2ZD', true],
    [`${email}Best, Andrea`, '7KQ2ZD', false],
    [`Andrea wrote: ${email}`, '7KQ2ZD', false],
    ['Dear Andrea, your code: BCDFGH, best regards', 'BCDFGH', false],
    ['ANDREA, your code is BCDFGH', 'BCDFGH', false],
    ['andrea, your code is bcdfgh, thanks', 'BCDFGH', false],
    ['7KQ2ZD or 8KQ2ZD', '7KQ2ZD', false],
    ['not the code 8KQ2ZD', '8KQ2ZD', true],
    ['There is nothing like it here', '', false],
    ['7KQ2ZDX', '', false],
    ['15Y SE1 is your code, Sandra', 'SANDRA', false],
    ['Best, Andrea', 'ANDREA', false],
    ['Best, ANDREA', 'ANDREA', false],
    ['Your login code: BCDFGH', 'BCDFGH', true],
    ['3YPOM0', '3YPOM0', true],
    ['3ypilo', '3YPILO', true],
    ['3YPUM0', '3YPUM0', false],
    ['Your code: 7kq2zd9xw4ht', '7KQ2ZD9XW4HT', true, 12],
  ]) {
    assert.deepEqual(codeIn(typed, chars), { code, isSure }, typed);
  }
});

// The connection against a socket and a clock that the test holds in its hands.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { makeConnection, pulse, retryDelay } from '../../static/connection.js';

const HELLO = { type: 0, text: 'Ada\nada@example.org' };
let sockets = [];

class FakeSocket {
  sent = [];
  isClosed = false;
  constructor(url) {
    this.url = url;
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.isClosed = true;
  }
  says(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

beforeEach(() => {
  sockets = [];
  globalThis.WebSocket = FakeSocket;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 });
});
afterEach(() => mock.timers.reset());

function open(hooks = {}) {
  const states = [];
  const heard = [];
  const connection = makeConnection('ws://x/connect', {
    opening: () => HELLO,
    isWatched: () => true,
    onMessage: (message) => heard.push(message),
    onState: ({ is }) => states.push(is),
    ...hooks,
  });
  connection.connect();
  return { connection, states, heard };
}

test('the first delay is random, later ones double up to half a minute', () => {
  for (const [failures, random, expected] of [
    [0, 0, 0],
    [0, 0.5, 500],
    [1, 0, 1000],
    [1, 1, 2000],
    [3, 0.5, 6000],
    [5, 1, 30_000],
    [50, 0, 15_000],
    [2000, 1, 30_000],
  ]) {
    assert.equal(retryDelay(failures, random), expected, `after ${failures} failures`);
  }
});

test('a quiet line is asked, and dead without an answer', () => {
  for (const [quiet, asked, expected] of [
    [0, -1, ''],
    [19_999, -1, ''],
    [20_000, -1, 'ask'],
    [25_000, 5000, ''],
    [35_000, 15_000, 'dead'],
  ]) {
    assert.equal(pulse(quiet, asked), expected, `${quiet} ${asked}`);
  }
});

test('an opened socket says the opening and hears', () => {
  const { connection, states, heard } = open();
  assert.equal(connection.send({ type: 1 }), false, 'nothing can be sent yet');
  sockets[0].onopen();
  assert.deepEqual(sockets[0].sent[0], HELLO);
  sockets[0].says({ type: 1, text: 'hi' });
  sockets[0].says({ type: 9, text: 'page' });
  assert.deepEqual(heard, [{ type: 1, text: 'hi', user: { name: '' } }], 'answers to pings are its own affair');
  assert.deepEqual(states, ['connecting', 'open']);
});

test('a line that dies in silence is noticed within 40 s, and replaced', () => {
  const { states } = open();
  sockets[0].onopen();
  sockets[0].says({ type: 9 });
  for (let second = 0; second < 40; second += 1) mock.timers.tick(1000);
  assert.ok(sockets[0].isClosed);
  assert.ok(states.includes('waiting'), states.join());
});

test('nobody is asked while nobody looks, nor by a server that never answers', () => {
  for (const [hooks, answers] of [
    [{ isWatched: () => false }, true],
    [{}, false],
  ]) {
    sockets = [];
    open(hooks);
    sockets[0].onopen();
    sockets[0].says({ type: answers ? 9 : 0 });
    for (let second = 0; second < 300; second += 1) mock.timers.tick(1000);
    assert.equal(sockets.length, 1);
    assert.equal(sockets[0].isClosed, false);
  }
});

test('who comes back to a line that was long quiet makes sure of it at once', () => {
  let isWatched = false;
  const { connection } = open({ isWatched: () => isWatched });
  sockets[0].onopen();
  sockets[0].says({ type: 9 });
  mock.timers.tick(3_600_000);
  const before = sockets[0].sent.length;
  isWatched = true;
  connection.wake();
  assert.deepEqual(sockets[0].sent.slice(before), [{ type: 9, text: 'page' }]);
});

test('each close code has its consequence', () => {
  for (const [code, state, within] of [
    [1000, 'refused', 0],
    [1008, 'refused', 0],
    [1012, 'waiting', 400],
    [1006, 'waiting', 1000],
    [1013, 'waiting', 1000],
    [4008, 'waiting', 1000],
  ]) {
    sockets = [];
    const { connection } = open();
    sockets[0].onopen();
    sockets[0].onclose({ code });
    assert.equal(connection.state.is, state, `${code}`);
    if (state === 'refused') continue;
    assert.ok(connection.state.at - Date.now() <= within, `${code}`);
    mock.timers.tick(within);
    assert.equal(sockets.length, 2, `${code}: it tries again`);
  }
});

test('with nothing to say it does not come back, and an old socket is not heard', () => {
  const { connection, heard } = open({ opening: () => null });
  sockets[0].onclose({ code: 1006 });
  assert.equal(connection.state.is, 'idle');
  sockets[0].says({ type: 1 });
  assert.deepEqual(heard, []);
});

test('a network that swallows everything is no connection', () => {
  const { connection } = open();
  mock.timers.tick(15_000);
  assert.equal(connection.state.is, 'waiting');
  connection.wake();
  assert.equal(connection.state.is, 'connecting', 'and it need not be waited for');
});

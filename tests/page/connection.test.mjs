// The connection against a socket and a clock that the test holds in its hands.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { diagnose, makeConnection, pulse, retryDelay } from '../../static/connection.js';

const HELLO = { type: 0, text: 'Ada\nada@example.org' };
let sockets = [];
/** What the device's monotonic clock is behind the wall clock. */
let behind = 0;

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
  behind = 0;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 });
  mock.method(performance, 'now', () => Date.now() - behind);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

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
  for (const [quiet, asked, expected, hasSlept = false] of [
    [0, -1, ''],
    [19_999, -1, ''],
    [20_000, -1, 'ask'],
    [25_000, 5000, ''],
    [35_000, 15_000, 'dead'],
    [0, -1, 'ask', true],
    [3999, 3999, '', true],
    [4000, 4000, 'dead', true],
  ]) {
    assert.equal(pulse(quiet, asked, hasSlept), expected, `${quiet} ${asked}`);
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
    assert.ok(connection.state.at - performance.now() <= within, `${code}`);
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

/** Lets the wall clock go on while no timer runs, and the monotonic clock too if it `counts` the time. */
function sleep(ms, counts) {
  const interval = mock.timers;
  if (!counts) behind += ms;
  interval.setTime(Date.now() + ms);
}

test('after sleep a dead connection is noticed within seconds, whichever clock went on', () => {
  for (const counts of [true, false]) {
    sockets = [];
    behind = 0;
    const { connection } = open();
    sockets[0].onopen();
    sockets[0].says({ type: 9 });
    mock.timers.tick(4000);
    const before = sockets[0].sent.length;
    sleep(3_600_000, counts);
    mock.timers.tick(2000);
    assert.deepEqual(sockets[0].sent.slice(before), [{ type: 9, text: 'page' }], 'it is asked at once');
    for (let second = 0; second < 6; second += 1) mock.timers.tick(1000);
    assert.equal(connection.state.is, 'waiting', 'and given up without an answer');
    connection.end();
  }
});

test('a wall clock that is set costs a ping and no connection', () => {
  const { connection } = open();
  sockets[0].onopen();
  sockets[0].says({ type: 9 });
  behind += 3_600_000;
  mock.timers.setTime(Date.now() + 3_600_000);
  mock.timers.tick(2000);
  sockets[0].says({ type: 9 });
  for (let second = 0; second < 15; second += 1) mock.timers.tick(1000);
  assert.equal(connection.state.is, 'open');
  connection.end();
});

test('failures are counted until something is heard, and whether a socket opened at all', () => {
  const { connection } = open();
  const fail = (opens) => {
    if (opens) sockets.at(-1).onopen();
    sockets.at(-1).onclose({ code: 1006 });
    const { failures, wasOpen } = connection.state;
    mock.timers.tick(60_000);
    return [failures, wasOpen];
  };
  assert.deepEqual([false, false, false].map(fail), [[1, false], [2, false], [3, false]]);
  assert.deepEqual(fail(true), [4, true]);
  sockets.at(-1).onopen();
  sockets.at(-1).says({ type: 9 });
  assert.deepEqual(fail(false), [1, false]);
  connection.end();
});

test('what is wrong is found out without a WebSocket', async () => {
  for (const [answer, expected] of [
    [() => new Response('ok\n'), /refuses the WebSocket/],
    [() => new Response('Bad gateway', { status: 502 }), /error 502/],
    [() => new Response('<html>Log in to the hotel</html>'), /not by Plume/],
    [() => Promise.reject(new TypeError('fetch failed')), /cannot be reached/],
  ]) {
    const asked = mock.method(globalThis, 'fetch', async () => answer());
    assert.match(await diagnose(), expected);
    assert.equal(asked.mock.calls[0].arguments[0], 'healthz', 'below the path that Plume lives under');
    asked.mock.restore();
  }
});

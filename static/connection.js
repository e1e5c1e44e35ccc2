// One line to the server: opens it, notices its end, waits, opens it again. Knows no message's meaning, and no DOM.
//
// idle        nothing to say, no socket
// connecting  a socket that is not open yet
// open        messages can be sent
// waiting     lost; the next try is `at`
// refused     ended with `code`, until somebody asks for it again

import { CLOSE, TYPE, decode, encode, ping } from './protocol.js';

const FIRST_DELAY_MS = 1000;
const RESTART_DELAY_MS = 200;
const DELAY_MAX_MS = 30_000;
// A line that died without a word is noticed within the sum of the three: 37 s.
const QUIET_MAX_MS = 20_000;
const ANSWER_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 2000;

/** `opening()` is what each new socket says first; `isWatched()` tells whether it matters now that the line is alive. */
export function makeConnection(url, { opening, isWatched, onMessage, onState }) {
  let socket = null;
  let timer = 0;
  let failures = 0;
  let heardAt = 0;
  let askedAt = 0;
  let answersPings = false;
  const connection = { state: { is: 'idle' }, connect, wake, send, end };
  return connection;

  function become(state) {
    connection.state = state;
    onState(state);
  }

  function connect() {
    if (socket) return;
    const mine = new WebSocket(url);
    const ifMine = (then) => (event) => mine === socket && then(event);
    socket = mine;
    mine.onopen = ifMine(opened);
    mine.onmessage = ifMine(heard);
    mine.onclose = ifMine(lost);
    clearTimeout(timer);
    // A network can swallow everything. The opening is always answered, so silence is loss.
    timer = setTimeout(lost, ANSWER_WITHIN_MS, {});
    become({ is: 'connecting' });
  }

  /** The network seems to be back, or the reader: waits no longer, and makes sure of a line that was long quiet. */
  function wake() {
    if (connection.state.is === 'waiting') connect();
    if (connection.state.is === 'open') look();
  }

  /** Whether the message went out. */
  function send(message) {
    if (connection.state.is !== 'open') return false;
    socket.send(encode(message));
    return true;
  }

  /** Hangs up, after what was sent. */
  function end() {
    drop();
    failures = 0;
    become({ is: 'idle' });
  }

  function opened() {
    become({ is: 'open' });
    send(opening());
    // To learn whether this server answers.
    send(ping);
  }

  function heard({ data }) {
    const message = decode(data);
    // Not once open: a full server opens and closes at once, and must be left in peace.
    failures = 0;
    if (heardAt === 0) startToLook();
    heardAt = Date.now();
    if (message.type === TYPE.PING) answersPings = true;
    else onMessage(message);
  }

  function startToLook() {
    clearTimeout(timer);
    timer = setInterval(() => isWatched() && look(), LOOK_EVERY_MS);
  }

  function look() {
    const now = Date.now();
    const due = answersPings && pulse(now - heardAt, askedAt > heardAt ? now - askedAt : -1);
    if (due === 'dead') lost({});
    if (due !== 'ask') return;
    askedAt = now;
    send(ping);
  }

  function lost({ code }) {
    drop();
    if (code === CLOSE.LEFT || code === CLOSE.POLICY) return become({ is: 'refused', code });
    if (!opening()) return become({ is: 'idle' });
    const wait = code === CLOSE.RESTARTING ? RESTART_DELAY_MS * (1 + Math.random()) : retryDelay(failures);
    failures += 1;
    timer = setTimeout(connect, wait);
    become({ is: 'waiting', at: Date.now() + wait });
  }

  function drop() {
    clearTimeout(timer);
    socket?.close();
    socket = null;
    heardAt = 0;
  }
}

/** Random from the first, so that a room that lost its server does not come back in one instant. */
export function retryDelay(failures, random = Math.random()) {
  if (failures === 0) return random * FIRST_DELAY_MS;
  return Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** failures) * (0.5 + random / 2);
}

/** What to do about a line that was quiet for so long, and was asked so long ago, or not since (-1). In milliseconds. */
export function pulse(quiet, asked) {
  if (asked >= 0) return asked >= ANSWER_WITHIN_MS ? 'dead' : '';
  return quiet >= QUIET_MAX_MS ? 'ask' : '';
}

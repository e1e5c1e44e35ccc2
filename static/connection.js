// One line to the server: opens it, notices its end, waits, opens it again. Knows no message's meaning, and no DOM.
//
// idle        nothing to say, no socket
// connecting  a socket that is not open yet
// open        messages can be sent
// waiting     lost; the next try is `at`
// refused     ended with `code`, until somebody asks for it again

import { CLOSE, decode, encode } from './protocol.js';

const ANSWER_WITHIN_MS = 10_000;
const FIRST_DELAY_MS = 1_000;
const RESTART_DELAY_MS = 200;
const DELAY_MAX_MS = 30_000;

/** `opening()` is what each new socket says first; without it none is needed. */
export function makeConnection(url, { opening, onMessage, onState }) {
  let socket = null;
  let timer = 0;
  let failures = 0;
  const connection = { state: { is: 'idle' }, connect, retryNow, send, end };
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

  /** Waits no longer: the network seems to be back, or the reader. */
  function retryNow() {
    if (connection.state.is === 'waiting') connect();
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
  }

  function heard({ data }) {
    clearTimeout(timer);
    // Not once open: a full server opens and closes at once, and must be left in peace.
    failures = 0;
    onMessage(decode(data));
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
  }
}

/** Random from the first, so that a room that lost its server does not come back in one instant. */
export function retryDelay(failures, random = Math.random()) {
  if (failures === 0) return random * FIRST_DELAY_MS;
  return Math.min(DELAY_MAX_MS, FIRST_DELAY_MS * 2 ** failures) * (0.5 + random / 2);
}

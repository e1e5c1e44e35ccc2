// One WebSocket to the server: opens it, notices its end, waits, opens it again. Knows no message's meaning, and no DOM.
//
// idle        nothing to say, no socket
// connecting  a socket that is not open yet
// open        messages can be sent
// waiting     lost, and not heard since `failures` sockets, of which one `wasOpen` or none; the next try is `at`
// refused     ended with `code`, until the user asks for it again
//
// Durations are measured with `performance.now()`, for the wall clock can be set.

import { CLOSE, TYPE, decode, encode, ping } from './protocol.js';

const FIRST_DELAY_MS = 1000;
const RESTART_DELAY_MS = 200;
const DELAY_MAX_MS = 30_000;
// A connection that died in silence is noticed within the sum of the three: 37 s.
const QUIET_MAX_MS = 20_000;
const ANSWER_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 2000;
// After a longer gap between two looks the device was asleep, and the connection is probably dead.
const GAP_MAX_MS = 10_000;
const ANSWER_AFTER_SLEEP_MS = 4000;
const PROBE_WITHIN_MS = 10_000;

/** `opening()` is what each new socket sends first; `isWatched()` tells whether it matters now that the connection is alive. */
export function makeConnection(url, { opening, isWatched, onMessage, onState }) {
  let socket = null;
  let timer = 0;
  let failures = 0;
  let wasOpen = false;
  let heardAt = 0;
  let askedAt = 0;
  let lookedAt = 0;
  let lookedAtDate = 0;
  let hasSlept = false;
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
    mine.onopen = ifMine(onOpen);
    mine.onmessage = ifMine(onFrame);
    mine.onclose = ifMine(onLost);
    clearTimeout(timer);
    // A network can swallow everything. The opening is always answered, so silence is loss.
    timer = setTimeout(onLost, ANSWER_WITHIN_MS, {});
    become({ is: 'connecting' });
  }

  /** The network seems to be back, or the reader: waits no longer, and makes sure of a connection that was long quiet. */
  function wake() {
    if (connection.state.is === 'waiting') connect();
    if (connection.state.is === 'open') look();
  }

  /** Returns whether the message was sent. */
  function send(message) {
    if (connection.state.is !== 'open') return false;
    socket.send(encode(message));
    return true;
  }

  /** Closes, after what was sent. */
  function end() {
    drop();
    failures = 0;
    become({ is: 'idle' });
  }

  function onOpen() {
    wasOpen = true;
    become({ is: 'open' });
    send(opening());
    // To learn whether this server answers.
    send(ping);
  }

  function onFrame({ data }) {
    const message = decode(data);
    // Not once open: a full server opens and closes at once, and must be left in peace.
    failures = 0;
    wasOpen = false;
    if (heardAt === 0) startToLook();
    heardAt = performance.now();
    hasSlept = false;
    if (message.type === TYPE.PING) answersPings = true;
    else onMessage(message);
  }

  function startToLook() {
    clearTimeout(timer);
    timer = setInterval(look, LOOK_EVERY_MS);
    lookedAt = performance.now();
    lookedAtDate = Date.now();
  }

  function look() {
    const now = performance.now();
    const date = Date.now();
    // On some systems only the wall clock goes on in sleep. Where it was set, one ping too many is sent.
    if (heardAt && Math.max(now - lookedAt, date - lookedAtDate) > GAP_MAX_MS) {
      hasSlept = true;
      askedAt = 0;
    }
    lookedAt = now;
    lookedAtDate = date;
    if (!answersPings || !isWatched()) return;
    const due = pulse(now - heardAt, askedAt > heardAt ? now - askedAt : -1, hasSlept);
    if (due === 'dead') onLost({});
    if (due !== 'ask') return;
    askedAt = now;
    send(ping);
  }

  function onLost({ code }) {
    drop();
    if (code === CLOSE.LEFT || code === CLOSE.POLICY) return become({ is: 'refused', code });
    if (!opening()) return become({ is: 'idle' });
    const isRestart = code === CLOSE.RESTARTING;
    const wait = isRestart ? RESTART_DELAY_MS * (1 + Math.random()) : retryDelay(failures);
    if (!isRestart) failures += 1;
    timer = setTimeout(connect, wait);
    become({ is: 'waiting', at: performance.now() + wait, failures, wasOpen });
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

/** What to do about a connection that was quiet for so long, and was asked so long ago, or not since (-1). In milliseconds. */
export function pulse(quiet, asked, hasSlept) {
  if (asked >= 0) return asked >= (hasSlept ? ANSWER_AFTER_SLEEP_MS : ANSWER_WITHIN_MS) ? 'dead' : '';
  return hasSlept || quiet >= QUIET_MAX_MS ? 'ask' : '';
}

/** Says why no socket opens, by asking for something that needs none. */
export async function diagnose() {
  try {
    const answer = await fetch('healthz', { cache: 'no-store', signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    if (!answer.ok) return `The server answers with error ${answer.status}.`;
    return (await answer.text()).trim() === 'ok' ? BLOCKED : 'The address is answered, but not by Plume.';
  } catch {
    return 'The server cannot be reached.';
  }
}

const BLOCKED = 'The server or a proxy refuses the WebSocket. Its operator should check Upgrade, Host and PLUME_ORIGINS.';

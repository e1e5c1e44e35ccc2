// The wiring: which message goes to which part, which view is open, and the line that says how the connection stands.
// Decides nothing that a part can decide.

import { makeConnection } from './connection.js';
import { byId, element, session } from './dom.js';
import { add, hush, openLog, setPending, settle, toEnd } from './log.js';
import { codeSent, connectionIs, done, enter, nameTaken, notice, setUp, unanswered, wrongCode } from './login.js';
import { showPeople } from './people.js';
import { CLOSE, REASON, TYPE, leave, resume, text } from './protocol.js';
import { Order, Outbox, Presence } from './room.js';
import { setUpWriting, write } from './write.js';

const CATCH_UP_WITHIN_MS = 3000;
const READ_ALOUD_MAX = 10;

const order = new Order();
const presence = new Presence();
const outbox = new Outbox(session.get().waiting);
const url = `${location.origin.replace(/^http/, 'ws')}/connect`;
const connection = makeConnection(url, { opening, isWatched: () => !document.hidden, onMessage, onState });
const statusLine = byId('status');
const nowButton = byId('now');
let me = '';
/** The server has let us in on this connection. */
let isIn = false;
/** We also have all lines that we missed; until then ours wait. */
let isCaughtUp = false;
let catchUpTo = 0;
let catchUpTimer = 0;
let ticker = 0;
/** What the server said of itself before it went. */
let reason = '';
/** The version that this page is of; another one means that the page is old. */
let version = '';
let isOld = false;

setUp({ ask: deliver, show, hangUp: connection.end });
setUpWriting({ say, names: () => presence.names });
nowButton.onclick = () => (isIn ? location.reload() : connection.connect());
byId('leave').onclick = () => {
  connection.send(leave);
  write();
  goOut();
};
window.ononline = window.onpageshow = connection.wake;
window.onoffline = () => onState(connection.state);
document.addEventListener('visibilitychange', () => document.hidden || connection.wake());
// Where the keyboard lies over the page, the page ends above it.
window.visualViewport?.addEventListener('resize', () => {
  const { height, scale } = visualViewport;
  const isCovered = scale === 1 && innerHeight - height > 1;
  document.body.style.setProperty('--height', isCovered ? `${height}px` : '100dvh');
  if (isCovered) scrollTo(0, 0);
});

if (session.get().token) {
  show('chat-view', byId('text'));
  connection.connect();
} else enter();

function opening() {
  const { token } = session.get();
  return token ? resume(token, order.run, order.last) : unanswered();
}

/** Now, or as the opening of a new connection. */
function deliver(message) {
  if (!connection.send(message)) connection.connect();
}

function onState(state) {
  if (state.is !== 'open') hearEnd();
  if (state.code === CLOSE.LEFT && me) return goOut('You left in another tab or device.');
  if (state.is === 'refused') takeBack();
  showStatus();
  connectionIs(state);
}

function hearEnd() {
  clearTimeout(catchUpTimer);
  isIn = false;
  isCaughtUp = false;
  outbox.broken();
}

function onMessage(message) {
  const isMember = Boolean(session.get().token);
  switch (message.type) {
    case TYPE.HELLO:
      return codeSent(message);
    case TYPE.TEXT:
      return hearLine(message);
    case TYPE.AUTH_ACK:
      return comeIn(message, isMember);
    case TYPE.AUTH_RST:
      return isMember ? loseSession() : wrongCode(message);
    case TYPE.MAY_NOT_ENTER:
      return nameTaken(message);
    case TYPE.NOTICE:
      return isMember ? hearNotice(message) : notice(message);
  }
}

function comeIn(ack, isMember) {
  order.begin(ack.run);
  session.set({ token: ack.text, flow: '' });
  if (ack.user.name !== me) openLog(ack.user.name);
  me = ack.user.name;
  isIn = true;
  reason = '';
  version ||= ack.version;
  isOld = ack.version !== version;
  presence.begin(ack);
  showPeople(presence, me);
  done();
  showOutbox();
  if (!isMember) show('chat-view', byId('text'));
  showStatus();
  catchUp(ack.last);
}

/** What we missed comes now, up to `last`. Much of it, or the history, is not read aloud. */
function catchUp(last) {
  catchUpTo = last;
  if (order.last === 0 || last - order.last > READ_ALOUD_MAX) hush();
  if (order.last >= last) return caughtUp();
  // Where no history is kept, its last line never comes.
  catchUpTimer = setTimeout(caughtUp, CATCH_UP_WITHIN_MS);
}

function caughtUp() {
  clearTimeout(catchUpTimer);
  isCaughtUp = true;
  settle();
  sendOutbox();
}

function hearLine(line) {
  // A line without an id is for us alone.
  if ('id' in line && !order.isNew(line.id)) {
    // Said on a connection that broke, and seen; the server answers a second try with the line that stands.
    if (outbox.heard(line.ref)) showOutbox();
    return;
  }
  add(line);
  if (line.event) {
    presence.hear(line);
    showPeople(presence, me);
  } else if (outbox.heard(line.ref)) showOutbox();
  if (!isCaughtUp && !(line.id < catchUpTo)) caughtUp();
}

function hearNotice({ reason: why, text: words }) {
  if (why === REASON.GAP || why === REASON.TOO_LONG) add({ rule: words });
  else reason = words;
}

function say(line) {
  outbox.add(line);
  showOutbox();
  toEnd();
  if (isCaughtUp) sendOutbox();
}

function sendOutbox() {
  for (const line of outbox.takeUnsent()) connection.send(text(line));
}

/** What waits survives a reload. */
function showOutbox() {
  session.set({ waiting: outbox.lines });
  setPending(outbox.lines);
}

/** What was not said is offered again, in the field. */
function takeBack() {
  write(...outbox.lines.splice(0).map((line) => line.text), byId('text').value);
  showOutbox();
}

function loseSession() {
  takeBack();
  goOut('Your session is over.');
}

function goOut(why) {
  session.set(null);
  outbox.lines = [];
  order.begin('');
  me = '';
  enter(why);
}

function show(view, focus) {
  for (const id of ['enter-view', 'verify-view', 'chat-view']) byId(id).hidden = id !== view;
  focus.focus();
}

function showStatus() {
  const { is, at } = connection.state;
  const isWaiting = is === 'waiting';
  clearInterval(ticker);
  statusLine.className = isIn ? 'good' : 'bad';
  nowButton.hidden = !isWaiting && is !== 'refused' && !(isIn && isOld);
  nowButton.textContent = isIn ? 'Plume was updated: reload' : isWaiting ? 'Now' : 'Connect again';
  if (is === 'refused') return sayStatus(`${reason} Disconnected.`);
  if (!isWaiting) return sayStatus(isIn ? 'Connected' : 'Connecting…');
  const words = `${reason} ${navigator.onLine ? 'Reconnecting' : 'You are offline. Trying again'}`;
  const tick = () => sayStatus(words, ` in ${Math.max(1, Math.ceil((at - Date.now()) / 1000))} s`);
  ticker = setInterval(tick, 1000);
  tick();
}

/** The seconds are for the eyes alone, or a screen reader would read each of them. */
function sayStatus(text, seconds = '') {
  const words = text.trim();
  if (statusLine.firstChild?.textContent !== words) statusLine.replaceChildren(element('span', '', words), element('span'));
  statusLine.lastChild.ariaHidden = 'true';
  statusLine.lastChild.textContent = seconds;
}

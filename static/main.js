// The wiring: which message goes to which part, and which view is open. Decides nothing that a part can decide.

import { makeConnection } from './connection.js';
import { byId } from './dom.js';
import * as log from './log.js';
import * as login from './login.js';
import { showPeople } from './people.js';
import { CLOSE, REASON, TYPE, leave, resume, text } from './protocol.js';
import { Order, Outbox, Presence } from './room.js';
import { showStatus } from './status.js';
import { session } from './store.js';
import * as words from './words.js';
import { onLine, write } from './write.js';

const CATCH_UP_WITHIN_MS = 3_000;
const READ_ALOUD_MAX = 10;

const order = new Order();
const outbox = new Outbox();
const presence = new Presence();
const url = `${location.origin.replace(/^http/, 'ws')}/connect`;
const connection = makeConnection(url, { opening, onMessage, onState });
let me = '';
/** The server has let us in on this connection. */
let isIn = false;
/** We also have all lines that we missed; until then ours wait. */
let isCaughtUp = false;
let catchUpTo = 0;
let timer = 0;
/** What the server said of itself before it went. */
let reason = '';

login.setUp({ ask, show, hangUp: connection.end });
onLine(say);
byId('now').onclick = connection.connect;
byId('leave').onclick = () => {
  connection.send(leave());
  write();
  goOut();
};
window.ononline = window.onpageshow = connection.retryNow;
window.onoffline = () => onState(connection.state);
document.addEventListener('visibilitychange', () => document.hidden || connection.retryNow());

if (session.get().token) {
  show('chat-view', byId('text'));
  connection.connect();
} else login.enter();

function opening() {
  const { token } = session.get();
  return token ? resume(token, order.run, order.last) : login.unanswered();
}

/** Now, or as the opening of a new connection. */
function ask(message) {
  if (!connection.send(message)) connection.connect();
}

function onState(state) {
  if (state.is !== 'open') hearEnd();
  if (state.code === CLOSE.LEFT && me) return goOut(words.LEFT_ELSEWHERE);
  showStatus(state, isIn, reason);
  login.connectionIs(state);
}

function hearEnd() {
  clearTimeout(timer);
  isIn = false;
  isCaughtUp = false;
  outbox.broken();
}

function onMessage(message) {
  const isMember = Boolean(session.get().token);
  switch (message.type) {
    case TYPE.HELLO:
      return login.codeSent(message);
    case TYPE.TEXT:
      return hearLine(message);
    case TYPE.AUTH_ACK:
      return comeIn(message, isMember);
    case TYPE.AUTH_RST:
      return isMember ? loseSession() : login.wrongCode(message);
    case TYPE.MAY_NOT_ENTER:
      return login.nameTaken();
    case TYPE.NOTICE:
      return isMember ? hearNotice(message) : login.notice(message);
  }
}

function comeIn(ack, isMember) {
  order.begin(ack.run);
  session.set({ token: ack.text });
  if (ack.user.name !== me) log.open(ack.user.name);
  me = ack.user.name;
  isIn = true;
  reason = '';
  presence.begin(ack);
  showPeople(presence, me);
  login.done();
  if (!isMember) show('chat-view', byId('text'));
  showStatus(connection.state, isIn, reason);
  catchUp(ack.last);
}

/** What we missed comes now, up to `last`. Much of it, or the history, is not read aloud. */
function catchUp(last) {
  catchUpTo = last;
  if (order.last === 0 || last - order.last > READ_ALOUD_MAX) log.hush();
  if (order.last >= last) return caughtUp();
  // Where no history is kept, its last line never comes.
  timer = setTimeout(caughtUp, CATCH_UP_WITHIN_MS);
}

function caughtUp() {
  clearTimeout(timer);
  isCaughtUp = true;
  log.settle();
  sendOutbox();
}

function hearLine(line) {
  // A line without an id is for us alone.
  if ('id' in line && !order.isNew(line.id)) return;
  log.add(line);
  if (line.event) {
    presence.hear(line);
    showPeople(presence, me);
  } else if (line.user.name === me) {
    outbox.heard(line.text);
    log.setPending(outbox.texts);
  }
  if (!isCaughtUp && !(line.id < catchUpTo)) caughtUp();
}

function hearNotice(notice) {
  const said = words.noticeWords(notice);
  if (notice.reason === REASON.GAP || notice.reason === REASON.TOO_LONG) log.rule(said);
  else reason = said;
}

function say(line) {
  outbox.texts.push(line);
  log.setPending(outbox.texts);
  log.toEnd();
  if (isCaughtUp) sendOutbox();
}

function sendOutbox() {
  for (const line of outbox.takeUnsent()) connection.send(text(line));
}

/** What was not said yet waits in the field until we are back. */
function loseSession() {
  write(...outbox.texts, byId('text').value);
  goOut(words.SESSION_OVER);
}

function goOut(why) {
  session.set(null);
  outbox.texts = [];
  order.begin('');
  me = '';
  login.enter(why);
}

function show(view, focus) {
  for (const id of ['enter-view', 'verify-view', 'chat-view']) byId(id).hidden = id !== view;
  focus.focus();
}

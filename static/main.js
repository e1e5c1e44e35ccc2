// The wiring: dispatches messages, switches views, and shows the state of the connection. A module imports what it uses; what it
// must call here comes to it as hooks, in one object.

import { diagnose, makeConnection } from './connection.js';
import { byId, element, shared, tab } from './dom.js';
import { scrollToEnd } from './follow.js';
import { addLine, announce, openLog, setPending, showTopic, stopAnnouncing } from './log.js';
import { onCodeSent, onNotice, onRefused, onWrongCode, resetLogin, setUpLogin, showConnection, showEnter, unansweredRequest } from './login.js';
import { setUpMenu } from './menu.js';
import { showPeople } from './people.js';
import { CLOSE, REASON, TYPE, leave, resume, text } from './protocol.js';
import { Order, Outbox, Presence } from './room.js';
import { setCommands, setDraft, setUpWriting, takeBack } from './write.js';

const CATCH_UP_WITHIN_MS = 3000;
const ANNOUNCED_MAX = 10;
const FAILURES_TO_DIAGNOSE = 3;
/** Marks the answer that the message field has asked for. */
const HELP_REF = 'help';

// The newest of what is used here and elsewhere; without it the note in the page stays.
if (!(CSS.supports('color', 'light-dark(red, red)') && ''.toWellFormed && document.body.showPopover)) throw new Error('This browser is too old.');

const order = new Order();
const presence = new Presence();
const outbox = new Outbox(tab.get().waiting);
// Relative, for Plume may live below a path.
const url = new URL('connect', document.baseURI.replace(/^http/, 'ws'));
const connection = makeConnection(url, { opening, isWatched: () => !document.hidden, onMessage, onState });
const statusLine = byId('status');
const nowButton = byId('now');
let me = '';
let isModerator = false;
/** The session that this connection resumes or has begun. */
let token = '';
/** This connection is logged in. */
let isIn = false;
/** We also have all lines that we missed; until then our own wait. */
let isCaughtUp = false;
let catchUpTo = 0;
let catchUpTimer = 0;
let ticker = 0;
/** Why there is no connection, as far as we know. */
let reason = '';
/** The version that this page is of; another one means that the page is old. */
let version = '';
let isOld = false;

setUpLogin({ ask: deliver, show, hangUp: connection.end });
setUpMenu({ submitLine: submit, reader: () => ({ me, isModerator }) });
setUpWriting({ submitLine, names: () => presence.names, askCommands });
nowButton.onclick = () => (isIn ? location.reload() : connection.connect());
byId('leave').onclick = () => {
  connection.send(leave);
  setDraft();
  logOut();
};
// What happens in one tab of a session happens in all.
window.onstorage = ({ key }) => {
  if (tab.get().isAlone || (key ?? shared.name) !== shared.name) return;
  const isInside = !byId('chat-view').hidden;
  if (!storedToken() && isInside) logOut('You were logged out in another tab.');
  if (storedToken() && !isInside) enterRoom();
};
// A dropped file would replace the page.
window.ondragover = window.ondrop = (event) => {
  if (event.dataTransfer.types.includes('Files')) event.preventDefault();
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

if (storedToken()) enterRoom();
else showEnter();
byId('needs').hidden = true;

/** All tabs share the session, except those whose user wanted otherwise. */
function tokenStore() {
  return tab.get().isAlone ? tab : shared;
}

function storedToken() {
  return tokenStore().get().token ?? '';
}

function enterRoom() {
  connection.end();
  show('chat-view', byId('text'));
  connection.connect();
}

function opening() {
  token = storedToken();
  return token ? resume(token, order.run, order.last) : unansweredRequest();
}

/** Now, or as the opening of a new connection. */
function deliver(message) {
  if (!connection.send(message)) connection.connect();
}

function onState(state) {
  if (state.is !== 'open') onDisconnected();
  if (state.code === CLOSE.LEFT && me) return logOut('You left in another tab or device.');
  if (state.is === 'refused') returnToDraft();
  showStatus();
  showConnection(state, reason);
  if (state.failures >= FAILURES_TO_DIAGNOSE && !state.wasOpen) explain(state);
}

async function explain(state) {
  const words = await diagnose();
  if (connection.state !== state || !navigator.onLine) return;
  reason = words;
  showStatus();
  showConnection(state, reason);
}

function onDisconnected() {
  clearTimeout(catchUpTimer);
  isIn = false;
  isCaughtUp = false;
  outbox.markUnsent();
}

function onMessage(message) {
  const isMember = Boolean(token);
  switch (message.type) {
    case TYPE.HELLO:
      return onCodeSent(message);
    case TYPE.TEXT:
    case TYPE.GONE:
      return onLine(message);
    case TYPE.AUTH_ACK:
      return onAuthAck(message, isMember);
    case TYPE.AUTH_RST:
      return isMember ? onSessionInvalid() : onWrongCode(message);
    case TYPE.MAY_NOT_ENTER:
      return isMember ? onSessionInvalid(message) : onRefused(message);
    case TYPE.NOTICE:
      return isMember ? onMemberNotice(message) : onNotice(message);
  }
}

function onAuthAck(ack, isMember) {
  // After a restart of the server the ids on the screen mean other lines.
  if (ack.user.name !== me || ack.run !== order.run) openLog(ack.user.name);
  order.begin(ack.run);
  token = ack.text;
  tokenStore().set({ token });
  tab.set({ flow: '' });
  me = ack.user.name;
  isIn = true;
  reason = '';
  version ||= ack.version;
  isOld = ack.version !== version;
  isModerator = ack.moderator;
  presence.begin(ack);
  showRoom();
  setCommands();
  resetLogin();
  showOutbox();
  if (!isMember) show('chat-view', byId('text'));
  showStatus();
  catchUp(ack.last);
}

/** What we missed comes now, up to `last`. Much of it, or the history, is not announced. */
function catchUp(last) {
  catchUpTo = last;
  if (order.last === 0 || last - order.last > ANNOUNCED_MAX) stopAnnouncing();
  if (order.last >= last) return onCaughtUp();
  // Where no history is kept, its last line never comes.
  catchUpTimer = setTimeout(onCaughtUp, CATCH_UP_WITHIN_MS);
}

function onCaughtUp() {
  clearTimeout(catchUpTimer);
  isCaughtUp = true;
  announce();
  sendOutbox();
}

function onLine(line) {
  // A line without an id is for us alone.
  const isPrivate = !('id' in line);
  const own = outbox.take(line.ref);
  if (own) showOutbox();
  // Sent on a connection that broke, and seen; the server answers a second try with the line that stands.
  if (!isPrivate && !order.isNew(line.id)) return;
  if (isPrivate && line.ref === HELP_REF) setCommands(line.text);
  else if (own && line.reason) takeBack(own.text, line.text);
  else addLine(line.type === TYPE.GONE ? { rule: 'removed' } : line);
  if (line.event) {
    presence.update(line);
    showRoom();
  }
  if (!isCaughtUp && !(line.id < catchUpTo)) onCaughtUp();
}

/** What is about lines stands among them; the rest may be why the connection ends. */
function onMemberNotice({ reason: why, text: words }) {
  if ([REASON.GAP, REASON.TOO_LONG, REASON.APART].includes(why)) addLine({ rule: words });
  else reason = words;
}

function showRoom() {
  showPeople(presence, me);
  showTopic(presence.topic);
}

/** The server knows them best, and which of them are for whom. */
function askCommands() {
  return isIn && connection.send(text({ text: '/help', ref: HELP_REF })) && [];
}

function submitLine(line) {
  submit(line);
  scrollToEnd();
}

function submit(line) {
  outbox.add(line);
  showOutbox();
  if (isCaughtUp) sendOutbox();
}

function sendOutbox() {
  for (const line of outbox.takeUnsent()) connection.send(text(line));
}

/** What waits survives a reload. */
function showOutbox() {
  tab.set({ waiting: outbox.lines });
  setPending(outbox.lines);
}

/** What was not sent is offered again, in the field. */
function returnToDraft() {
  setDraft(...outbox.lines.splice(0).map((line) => line.text), byId('text').value);
  showOutbox();
}

/** The token is not valid any more, or the door is shut by now. */
function onSessionInvalid(refusal) {
  // Another tab may have logged in meanwhile.
  if (storedToken() !== token) return enterRoom();
  returnToDraft();
  logOut('Your session is over.');
  if (refusal) onRefused(refusal);
}

function logOut(why) {
  if (storedToken() === token) tokenStore().set({ token: '' });
  token = '';
  outbox.lines = [];
  order.begin('');
  me = '';
  showEnter(why);
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
  if (is === 'refused') return setStatus(`${reason} Disconnected.`);
  if (!isWaiting) return setStatus(isIn ? 'Connected' : 'Connecting…');
  const words = `${reason} ${navigator.onLine ? 'Reconnecting' : 'You are offline. Trying again'}`;
  const tick = () => setStatus(words, ` in ${Math.max(1, Math.ceil((at - performance.now()) / 1000))} s`);
  ticker = setInterval(tick, 1000);
  tick();
}

/** The seconds are hidden from screen readers, which would read each of them. */
function setStatus(text, seconds = '') {
  const words = text.trim();
  if (statusLine.firstChild?.textContent !== words) statusLine.replaceChildren(element('span', '', words), element('span'));
  statusLine.lastChild.ariaHidden = 'true';
  statusLine.lastChild.textContent = seconds;
}

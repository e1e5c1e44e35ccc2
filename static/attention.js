// Attracts a reader who looks elsewhere: the unread count in title and icon, notifications and a sound, which are off by default;
// and the theme, which is chosen in the same menu.

import { byId, settings } from './dom.js';

const SITE = document.title;
const icon = document.querySelector('[rel=icon]');
const ICON = icon.href;
let unreadShown = 0;
let audio = null;
let notified = null;

for (const node of document.querySelectorAll('.site')) node.textContent = SITE;
choice('theme', ['system', 'light', 'dark'], (theme) => (document.documentElement.dataset.theme = theme));
choice('notify', ['off', 'on'], askToNotify).hidden = !('Notification' in window);
choice('sound', ['off', 'on'], (value, isAsked) => isAsked && value === 'on' && chime());

/** A button that cycles through its values; `then` is called with each that it shows. */
function choice(id, values, then) {
  const button = byId(id);
  const show = (value, isAsked) => {
    button.lastChild.textContent = value;
    then(value, isAsked);
  };
  button.onclick = () => {
    const at = values.indexOf(button.lastChild.textContent);
    const value = values[(at + 1) % values.length];
    settings.set({ [id]: value });
    show(value, true);
  };
  show(settings.get()[id] ?? values[0]);
  return button;
}

async function askToNotify(value, isAsked) {
  if (!isAsked || value === 'off' || (await Notification.requestPermission()) === 'granted') return;
  byId('notify').lastChild.textContent = 'forbidden';
  settings.set({ notify: 'off' });
}

/** Notifies the reader of a mention. */
export function notifyMention({ id, user, text }) {
  const { notify, sound } = settings.get();
  if (sound === 'on') chime();
  if (notify !== 'on' || document.hasFocus()) return;
  try {
    notified = new Notification(`@${user.name}`, { body: text.slice(0, 200), icon: ICON, tag: SITE, data: id });
    notified.onclick = () => focus();
  } catch {
    // Phones have the constructor, but it throws.
  }
}

/** Closes the notification if it is of this line. */
export function withdrawMention(id) {
  if (notified?.data === id) notified.close();
}

/** One soft note. A browser that wants a click first stays silent. */
function chime() {
  audio ??= new AudioContext();
  const note = audio.createOscillator();
  const volume = audio.createGain();
  const now = audio.currentTime;
  volume.gain.setValueAtTime(0.1, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.5);
  note.connect(volume).connect(audio.destination);
  note.start();
  note.stop(now + 0.5);
}

export function showUnread(count) {
  if (count === unreadShown) return;
  unreadShown = count;
  document.title = count > 0 ? `(${count}) ${SITE}` : SITE;
  icon.href = count > 0 ? iconWith(Math.min(count, 99)) : ICON;
}

function iconWith(count) {
  const text = `<text x="10" y="16" text-anchor="middle" fill="#fff">${count}</text>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><path fill="#454ad6" d="M0 0h20v20H0"/>${text}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

// What the page knows of the room: which lines it has, who is present, who enters and leaves, which of our lines the server has
// not confirmed. No DOM, no socket.

/** Ids rise within one run of the server, so the last one tells which lines we have. */
export class Order {
  run = '';
  last = 0;

  begin(run) {
    if (run !== this.run) this.last = 0;
    this.run = run;
  }

  /** True once for each id. */
  isNew(id) {
    const isNew = id > this.last;
    if (isNew) this.last = id;
    return isNew;
  }
}

// Scripts that put no spaces between words; a Korean name or word is followed by its particles. Han and Hiragana are taken with
// their extensions, the marks of kana; those of other scripts include marks on Latin letters.
export const UNSPACED = ['x=Han', 'x=Hira', '=Kana', '=Bopo', '=Hang', '=Thai', '=Laoo', '=Khmr', '=Mymr', '=Tibt'].map((name) => `\\p{sc${name}}`).join('');
export const WORD = '\\p{L}\\p{N}\\p{M}_';
/** Precedes a mention or a star: within a word, an @ is part of an address, and a star multiplies. Emoji end with selectors. */
export const BEFORE = `(?<=^|[${UNSPACED}\\p{DI}\\u20e3]|[^${WORD}*])`;

/** Two names are one if their keys are equal. The server knows look-alikes as well; on `tests/data/names.json` both agree. */
export function keyOf(name) {
  // By way of upper case, or ß would not be ss, and ı not i; and back and forth, for ẞ is the upper case of ß alone.
  const folded = name.normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().normalize('NFKD');
  return folded.replaceAll('i\u0307', 'i').replace(/[\u200c\u200d\ufe0e\ufe0f\u{1f3fb}-\u{1f3ff}]/gu, '').replace(/\s+/g, ' ').trim();
}

export class Presence {
  count = 0;
  topic = '';
  #names = new Map();
  #last = 0;

  begin({ count = 0, names = [], last = 0, topic = '' }) {
    this.count = count;
    this.topic = topic;
    this.#names = new Map(names.map((name) => [keyOf(name), name]));
    this.#last = last;
  }

  update({ id, event, user: { name }, topic }) {
    if (id <= this.#last) return;
    if (event === 'topic') this.topic = topic;
    const key = keyOf(name);
    const isKnown = this.#names.has(key);
    if (event === 'enter' && !isKnown) {
      this.#names.set(key, name);
      this.count += 1;
    }
    // There may be more people in the room than we know by name.
    if (event === 'leave' && (isKnown || this.count > this.#names.size)) {
      this.#names.delete(key);
      this.count -= 1;
    }
  }

  get names() {
    return [...this.#names.values()];
  }
}

/** Enter and leave lines in a row, as a summary. */
export class EventSummary {
  #names = { enter: new Set(), leave: new Set() };

  add({ event, user: { name } }) {
    this.#names[event]?.add(name);
  }

  get words() {
    const { enter, leave } = this.#names;
    const parts = [enter.size && `${enumerate([...enter])} came in`, leave.size && `${enumerate([...leave])} left chat`];
    return parts.filter(Boolean).join(', ');
  }
}

function enumerate(names) {
  const shown = names.slice(0, names.length > 3 ? 2 : 3);
  const others = names.length - shown.length;
  const all = others ? [...shown, `${others} others`] : shown;
  return all.length > 1 ? `${all.slice(0, -1).join(', ')} and ${all.at(-1)}` : all[0];
}

/** Our lines, in order, until the server has confirmed them: none is lost with the connection, and none sent twice. */
export class Outbox {
  constructor(lines = []) {
    this.lines = lines;
    this.markUnsent();
  }

  /** The line comes back with its `ref`, on whichever connection. */
  add(text) {
    const ref = Math.random().toString(36).slice(2) + Date.now().toString(36);
    this.lines.push({ ref, text, time: Date.now(), isSent: false });
  }

  takeUnsent() {
    const unsent = this.lines.filter(({ isSent }) => !isSent);
    for (const line of unsent) line.isSent = true;
    return unsent;
  }

  /** Takes out the line that was answered, if it was one of these. */
  take(ref) {
    const at = this.lines.findIndex((line) => line.ref === ref);
    return at < 0 ? undefined : this.lines.splice(at, 1)[0];
  }

  /** After a lost connection: what is not confirmed once we caught up must be sent again. */
  markUnsent() {
    for (const line of this.lines) line.isSent = false;
  }
}

/**
 * Returns the names that complete the `@part` that ends at `caret`, or the commands that complete a `/part` at the start; where it
 * starts, and the text after it; null if there are none.
 */
export function completions(text, caret, names, commands = []) {
  const isCommand = /^\/[a-z]*$/.test(text.slice(0, caret));
  const from = isCommand ? 0 : text.lastIndexOf('@', caret - 1);
  const typed = text.slice(from + 1, caret);
  // After a complete name Tab moves the focus.
  if (from < 0 || caret < 1 || /^\s|\s$|\n/.test(typed)) return null;
  // Within an address there is no name.
  if (!new RegExp(`${BEFORE}\\**$(?<!https?://\\S*)`, 'iu').test(text.slice(0, from))) return null;
  const part = keyOf(typed);
  const found = (isCommand ? commands : names).filter((name) => keyOf(name).startsWith(part));
  return found.length > 0 ? { from, found, at: 0, rest: text.slice(caret).replace(/^ /, '') } : null;
}

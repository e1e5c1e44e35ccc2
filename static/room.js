// What the page knows of the room: which lines it saw, who is in, what of ours was not heard yet. No DOM, no socket.

/** Ids rise within one run of the server, so the last one tells which lines were seen. */
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

export class Presence {
  count = 0;
  /** By lower case, in which names are compared. */
  #names = new Map();
  #last = 0;

  begin({ count = 0, names = [], last = 0 }) {
    this.count = count;
    this.#names = new Map(names.map((name) => [name.toLowerCase(), name]));
    this.#last = last;
  }

  /** Takes an enter or leave line. */
  hear({ id, event, user: { name } }) {
    if (id <= this.#last) return;
    const key = name.toLowerCase();
    const isKnown = this.#names.has(key);
    if (event === 'enter' && !isKnown) {
      this.#names.set(key, name);
      this.count += 1;
    }
    // There may be more in the room than we know by name.
    if (event === 'leave' && (isKnown || this.count > this.#names.size)) {
      this.#names.delete(key);
      this.count -= 1;
    }
  }

  get names() {
    return [...this.#names.values()];
  }
}

/** Our lines until the room has heard them, so that none is lost with the connection. */
export class Outbox {
  #lines = [];

  get texts() {
    return this.#lines.map(({ text }) => text);
  }

  add(text) {
    this.#lines.push({ text, isSent: false });
  }

  takeUnsent() {
    const unsent = this.#lines.filter(({ isSent }) => !isSent);
    for (const line of unsent) line.isSent = true;
    return unsent.map(({ text }) => text);
  }

  heard(text) {
    const at = this.#lines.findIndex((line) => line.isSent && line.text === text);
    if (at >= 0) this.#lines.splice(at, 1);
  }

  /** What was sent and not heard must be sent again. */
  broken() {
    for (const line of this.#lines) line.isSent = false;
  }

  clear() {
    this.#lines = [];
  }
}

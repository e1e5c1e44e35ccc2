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

/** Our lines, in order, until the room has said them: none is lost with the connection. */
export class Outbox {
  texts = [];
  #sent = 0;

  takeUnsent() {
    const unsent = this.texts.slice(this.#sent);
    this.#sent = this.texts.length;
    return unsent;
  }

  heard(text) {
    const at = this.texts.indexOf(text);
    if (at < 0) return;
    this.texts.splice(at, 1);
    if (at < this.#sent) this.#sent -= 1;
  }

  /** What is not heard by the time that we caught up must be sent again. */
  broken() {
    this.#sent = 0;
  }
}

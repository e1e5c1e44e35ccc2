// Folds enter and leave lines: two in a row are shown as they are, more of them behind a summary.

import { element } from './dom.js';
import { limitMarks } from './format.js';
import { log } from './follow.js';
import { EventSummary } from './room.js';

let summary = null;
let count = 0;

/** Something else follows, so the next event begins another row. */
export function endRow() {
  count = 0;
}

export function appendEvent(line, node) {
  count += 1;
  if (count === 1) summary = new EventSummary();
  summary.add(line);
  if (count < 3) return log.append(node);
  if (count === 3) {
    const fold = element('details', 'fold');
    fold.append(element('summary'), ...[...log.children].slice(-2));
    log.append(fold);
  }
  log.lastChild.append(node);
  log.lastChild.firstChild.textContent = limitMarks(summary.words);
}

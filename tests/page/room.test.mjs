// What the page knows of the room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSummary, Order, Outbox, Presence, completions } from '../../static/room.js';

test('each id is new once, and another run begins anew', () => {
  const order = new Order();
  order.begin('a');
  assert.deepEqual([3, 3, 2, 4, 9, 9].map((id) => order.isNew(id)), [true, false, false, true, true, false]);
  order.begin('a');
  assert.equal(order.isNew(9), false);
  order.begin('b');
  assert.equal(order.isNew(1), true);
});

test('presence follows what comes after its list', () => {
  const presence = new Presence();
  const update = (id, event, name) => presence.update({ id, event, user: { name } });
  presence.begin({ count: 3, names: ['Ada', 'Grace'], last: 10 });
  for (const [id, event, name, count, names] of [
    [9, 'leave', 'Ada', 3, 'Ada Grace'],
    [10, 'enter', 'Eve', 3, 'Ada Grace'],
    [11, 'enter', 'Eve', 4, 'Ada Grace Eve'],
    [12, 'enter', 'ada', 4, 'Ada Grace Eve'],
    [13, 'leave', 'GRACE', 3, 'Ada Eve'],
    [14, 'leave', 'somebody beyond the list', 2, 'Ada Eve'],
    [15, 'leave', 'nobody', 2, 'Ada Eve'],
  ]) {
    update(id, event, name);
    assert.deepEqual([presence.count, presence.names.join(' ')], [count, names], `${event} ${name}`);
  }
  presence.begin({});
  assert.deepEqual([presence.count, presence.names], [0, []], 'the first Plume tells nothing');
});

test('the topic is the one of the welcome, until a later line sets another one', () => {
  const presence = new Presence();
  const set = (id, topic) => presence.update({ id, event: 'topic', user: { name: 'Ada' }, topic });
  presence.begin({ topic: 'tea', last: 10 });
  set(9, 'what history tells');
  assert.equal(presence.topic, 'tea');
  set(11, 'coffee');
  assert.equal(presence.topic, 'coffee');
  presence.update({ id: 12, event: 'kick', user: { name: 'Ada' } });
  assert.equal(presence.topic, 'coffee');
  set(13, '');
  assert.equal(presence.topic, '');
  presence.begin({ last: 14 });
  assert.equal(presence.topic, '', 'there is none');
  assert.deepEqual([presence.count, presence.names], [0, []], 'acts are no comings and goings');
});

test('enter and leave lines as a summary', () => {
  for (const [events, expected] of [
    ['+ada', 'ada came in'],
    ['+ada +grace', 'ada and grace came in'],
    ['+ada +grace +eve', 'ada, grace and eve came in'],
    ['+ada +grace +eve +bob +zoe', 'ada, grace and 3 others came in'],
    ['-ada -grace -eve -bob', 'ada, grace and 2 others left chat'],
    ['+ada +ada -grace +ada', 'ada came in, grace left chat'],
  ]) {
    const summary = new EventSummary();
    for (const [sign, ...name] of events.split(' ')) {
      summary.add({ event: sign === '+' ? 'enter' : 'leave', user: { name: name.join('') } });
    }
    assert.equal(summary.words, expected);
  }
});

test('a line of ours waits until it is confirmed, is said once on each connection, and knows itself by its ref', () => {
  const outbox = new Outbox();
  outbox.add('one');
  outbox.add('same');
  outbox.add('same');
  const texts = (lines) => lines.map(({ text }) => text).join(' ');
  const [one, same, again] = outbox.lines.map(({ ref }) => ref);
  assert.equal(new Set([one, same, again]).size, 3);
  assert.ok(one.length <= 64);
  assert.equal(texts(outbox.takeUnsent()), 'one same same');
  assert.equal(texts(outbox.takeUnsent()), '');
  assert.equal(outbox.take(same).text, 'same');
  assert.equal(outbox.take(same), undefined);
  assert.equal(outbox.take(undefined), undefined);
  outbox.markUnsent();
  assert.deepEqual(outbox.takeUnsent().map(({ ref }) => ref), [one, again]);
  const reloaded = new Outbox(JSON.parse(JSON.stringify(outbox.lines)));
  assert.equal(texts(reloaded.takeUnsent()), 'one same', 'a reload forgets what was sent, not what waits');
});

test('names are completed at the caret', () => {
  const names = ['Ada', 'Adele', 'Grace Hopper', 'שרה'];
  for (const [text, from, found] of [
    ['@', 0, names],
    ['hi @ad', 3, ['Ada', 'Adele']],
    ['hi @AD|, bye', 3, ['Ada', 'Adele']],
    ['@grace h', 0, ['Grace Hopper']],
    ['@Ada and @שר', 9, ['שרה']],
    ['hi @x', null],
    ['hi ad', null],
    ['@Grace ', null],
    ['hi @Grace Hopper ', null],
    ['3 @ ', null],
    ['3 @ gr', null],
    ['@Ada\n', null],
    ['@Grace\nHo', null],
    ['x@g', null],
    ['x.y@g', null],
    ['3@g', null],
    ['иван@g', null],
    ['πι@g', null],
    ['שלום@g', null],
    ['a\u0301@g', null],
    ['x*@g', null],
    ['https://x.example/@g', null],
    ['see HTTP://x.example/a/@g', null],
    ['https://x.example/ @g', 19, ['Grace Hopper']],
    ['*@g', 1, ['Grace Hopper']],
    ['x **@g', 4, ['Grace Hopper']],
    ['https://x.example/*@g', null],
    ['请看@g', 2, ['Grace Hopper']],
    ['か\u3099@g', 2, ['Grace Hopper']],
    ['❤️@g', 2, ['Grace Hopper']],
    ['(@g', 1, ['Grace Hopper']],
    ['|@ad', null],
    ['', null],
  ]) {
    const caret = text.includes('|') ? text.indexOf('|') : text.length;
    const got = completions(text.replace('|', ''), caret, names);
    assert.deepEqual(got && [got.from, got.found], from === null ? null : [from, found], text);
  }
  assert.equal(completions('@ad, bye', 3, names).rest, ', bye');
});

test('commands are completed at the start of a line, and nowhere else', () => {
  const commands = ['help', 'kick', 'mute', 'me'];
  for (const [text, found] of [
    ['/', commands],
    ['/m', ['mute', 'me']],
    ['/k| Bob', ['kick']],
    ['/x', null],
    ['/usr/b', null],
    ['//k', null],
    ['a /k', null],
    ['/kick b', null],
    ['|/k', null],
  ]) {
    const caret = text.includes('|') ? text.indexOf('|') : text.length;
    assert.deepEqual(completions(text.replace('|', ''), caret, ['Bob'], commands)?.found ?? null, found, text);
  }
  assert.equal(completions('/k Bob', 2, [], commands).rest, 'Bob');
  assert.deepEqual(completions('/kick @b', 8, ['Bob'], commands).found, ['Bob']);
  assert.equal(completions('/', 1, [], undefined), null, 'before the server has answered');
});

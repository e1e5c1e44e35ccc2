// What a text means. Each row is a text and its parts: `tag(text)`, parted by spaces; plain text is in quotes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasMention, limitMarks, parseCut, parseText, shortened } from '../../static/format.js';

const shown = (parts) =>
  parts.map(({ tag, text, parts: inner }) => {
    if (tag === 'span') return JSON.stringify(text);
    return `${tag}(${inner ? shown(inner) : JSON.stringify(text)})`;
  }).join(' ');
const check = (text, expected, me = 'Ada') => assert.equal(shown(parseText(text, me)), expected, text);

test('plain text stays whole', () => {
  for (const text of [
    'hello', ' ', 'a\nb', '2*3*4', '2 * 3 * 4', '* item', '**', '***', '****', '*a', 'a*', '* a*', '*a *', '*a\nb*', '`', '``', '`a\nb`',
    '```', '``````', 'snake_case_name', '~no~', '<b>', '&amp;', 'javascript:alert(1)', 'ftp://example.org', 'data:text/html,x',
    'xhttp://example.org', 'http://', '[a](b)', '# head', '@', 'ada', 'x@ada', '@adam', '@ada_', 'x*@*',
  ]) {
    check(text, JSON.stringify(text));
  }
  assert.deepEqual(parseText('', 'Ada'), []);
});

test('code, emphasis and strong', () => {
  for (const [text, expected] of [
    ['`x`', 'code("x")'],
    ['a `b *c* @ada` d', '"a " code("b *c* @ada") " d"'],
    ['```\na\n  b```', 'pre("a\\n  b")'],
    ['see ```x`y``` there', '"see " pre("x`y") " there"'],
    ['*a*', 'em("a")'],
    ['**a b**', 'strong("a b")'],
    ['*a*, **b**.', 'em("a") ", " strong("b") "."'],
    ['(*a*)', '"(" em("a") ")"'],
    ['*hi @Ada*', 'em("hi " mark("@Ada"))'],
    ['**see https://example.org/x**', 'strong("see " a("https://example.org/x"))'],
    ['*a `b` c*', 'em("a " code("b") " c")'],
  ]) {
    check(text, expected);
  }
});

test('code ends at a run of as many backticks, and a fence may name a language', () => {
  for (const [text, expected] of [
    ['``a ` b`` c', 'code("a ` b") " c"'],
    ['`` ` ``', 'code("`")'],
    ['` a`', 'code(" a")'],
    ['`  `', 'code("  ")'],
    ['`a``b`', 'code("a``b")'],
    ['``a`', '"``a`"'],
    ['```rust\nfn a() {}\n```', 'pre("fn a() {}\\n")'],
    ['so:\n```c++\nint a;```', '"so:\\n" pre("int a;")'],
    ['```let x\nlet y```', 'pre("let x\\nlet y")'],
    ['``` js\nx\n```', 'pre("x\\n")'],
    ['```js\r\nx\r\n```', 'pre("x\\r\\n")'],
    ['```\r\nx\n```', 'pre("x\\n")'],
    ['   ```js\nx\n```', '"   " pre("x\\n")'],
    ['so:\n  ```js\nx\n```', '"so:\\n  " pre("x\\n")'],
    ['    ```js\nx\n```', '"    " pre("js\\nx\\n")'],
    ['so  ```js\nx\n```', '"so  " pre("js\\nx\\n")'],
    ['```python {1}\nx\n```', 'pre("x\\n")'],
    ['```{.python}\nx\n```', 'pre("x\\n")'],
    ['```js:title\nx\n```', 'pre("x\\n")'],
    ['```text/plain\nx\n```', 'pre("x\\n")'],
    ['```js \n x\n```', 'pre(" x\\n")'],
    ['```if {\n}```', 'pre("if {\\n}")'],
    ['so ```a\nb```', '"so " pre("a\\nb")'],
    ['````\n```\n````', 'pre("```\\n")'],
    ['```js\n```', '"```js\\n```"'],
  ]) {
    check(text, expected);
  }
});

test('in scripts without spaces a letter beside a mark is no part of the word', () => {
  for (const [text, expected] of [
    ['请看@ada', '"请看" mark("@ada")'],
    ['@adaさん', 'mark("@ada") "さん"'],
    ['@ada님', 'mark("@ada") "님"'],
    ['@adaー', 'mark("@ada") "ー"'],
    ['สวัสดี@adaครับ', '"สวัสดี" mark("@ada") "ครับ"'],
    ['これは*重要*です', '"これは" em("重要") "です"'],
    ['这**很**好', '"这" strong("很") "好"'],
    ['か\u3099@ada', '"か\u3099" mark("@ada")'],
    ['は\u309a@ada', '"は\u309a" mark("@ada")'],
    ['ﾊﾛｰ@adaｻﾝ', '"ﾊﾛｰ" mark("@ada") "ｻﾝ"'],
    ['ｶﾞ*重要*ｶﾞ', '"ｶﾞ" em("重要") "ｶﾞ"'],
    ['ﾊﾟ@adaﾟ', '"ﾊﾟ" mark("@ada") "ﾟ"'],
    ['@adaｰ', 'mark("@ada") "ｰ"'],
    ['〆@ada〆', '"〆" mark("@ada") "〆"'],
    ['〼@ada', '"〼" mark("@ada")'],
    ['葛\u{e0100}@ada', '"葛\u{e0100}" mark("@ada")'],
    ['葛\u{e01ef}*重要*', '"葛\u{e01ef}" em("重要")'],
    ['❤️@ada', '"❤️" mark("@ada")'],
    ['1️⃣@ada', '"1️⃣" mark("@ada")'],
    ['❤️*so*', '"❤️" em("so")'],
    ['1@ada', '"1@ada"'],
    ['a\u0301@ada', '"a\u0301@ada"'],
    ['я@ada', '"я@ada"'],
    ['@adaя', '"@adaя"'],
    ['2*3*4', '"2*3*4"'],
  ]) {
    check(text, expected);
  }
});

test('links end where the sentence goes on', () => {
  for (const [text, expected] of [
    ['[x](https://example.org/a)', '"[x](" a("https://example.org/a") ")"'],
    ['https://example.org/(a(b))c))', 'a("https://example.org/(a(b))c") "))"'],
    ['http://[::1]/', 'a("http://[::1]/")'],
    ['https://example.org/a[1]', 'a("https://example.org/a[1]")'],
    ['{https://example.org/{id}}', '"{" a("https://example.org/{id}") "}"'],
    ['“https://example.org/”', '"“" a("https://example.org/") "”"'],
    ['«https://example.org/».', '"«" a("https://example.org/") "»."'],
    ['„https://example.org/“', '"„" a("https://example.org/") "“"'],
    ['https://example.org/a。然后', 'a("https://example.org/a") "。然后"'],
    ['（https://example.org/a），', '"（" a("https://example.org/a") "），"'],
    ['「https://example.org/佐々木」！', '"「" a("https://example.org/佐々木") "」！"'],
    ['https://example.org؟', 'a("https://example.org") "؟"'],
    ['https://example.org؛', 'a("https://example.org") "؛"'],
    ['https://example.org।', 'a("https://example.org") "।"'],
    ['https://example.org/Paral·lel', 'a("https://example.org/Paral·lel")'],
    ['https://example.org/#a/', 'a("https://example.org/#a/")'],
    ['https://...', '"https://..."'],
    ['https://-', '"https://-"'],
    ['https://)', '"https://)"'],
    ['https://bank.example@evil.example', '"https://bank.example@evil.example"'],
    ['https://a.example\u202e/b', 'a("https://a.example") "\u202e/b"'],
    ['https://a.example\u200b.b', 'a("https://a.example") "\u200b.b"'],
    ['https://a.example\u00ad/b', 'a("https://a.example") "\u00ad/b"'],
    ['https://a.example/b\u2800c', 'a("https://a.example/b") "\u2800c"'],
    ['https://a.example/b\ufffcc', 'a("https://a.example/b") "\ufffcc"'],
    ['https://bank.example\u2800.evil.example/x', 'a("https://bank.example") "\u2800.evil.example/x"'],
    ['https://bank.example\u2044login.evil.example/x', 'a("https://bank.xn--examplelogin-xk0g.evil.example/x")'],
    ['https://bank.example\u2215login.evil.example/x', 'a("https://bank.xn--examplelogin-ni5g.evil.example/x")'],
    ['https://bank.example\u1735login.evil.example/x', 'a("https://bank.xn--examplelogin-ly5d.evil.example/x")'],
    ['https://bank.example\u0338login.evil.example/x', 'a("https://bank.xn--examplelogin-znh.evil.example/x")'],
    ['https://google.com%2eevil.com/', 'a("https://google.com.evil.com/")'],
    ['https://g\u0b66gle.com/', 'a("https://xn--ggle-vnl.com/")'],
    ['https://\u01c3.com/', 'a("https://xn--ija.com/")'],
    ['https://💩.la/', 'a("https://xn--ls8h.la/")'],
    ['https://my_host-1.example:8080/ä', 'a("https://my_host-1.example:8080/ä")'],
    ['https://हिन्दी.भारत/', 'a("https://हिन्दी.भारत/")'],
    ['https://ไทย.ไทย/', 'a("https://ไทย.ไทย/")'],
    ['“https://a.example/”的', '"“" a("https://a.example/") "”的"'],
    ['https://a.example/it’s', 'a("https://a.example/it’s")'],
    ['https://раypal.com/x', 'a("https://xn--ypal-43d9g.com/x")'],
    ['https://пример.com', 'a("https://xn--e1afmkfd.com/")'],
    ['https://президент.рф', 'a("https://президент.рф")'],
    ['https://例え.jp/', 'a("https://例え.jp/")'],
    ['https://データ.jp/', 'a("https://データ.jp/")'],
    ['https://münchen.de/straße', 'a("https://münchen.de/straße")'],
    ['https://example.org', 'a("https://example.org")'],
    ['HTTP://Example.org/x', 'a("HTTP://Example.org/x")'],
    ['see https://example.org/a_(b), or', '"see " a("https://example.org/a_(b)") ", or"'],
    ['(https://example.org/a)', '"(" a("https://example.org/a") ")"'],
    ['https://example.org/?a=*b*&c=`d`', 'a("https://example.org/?a=*b*&c=`d`")'],
    ['https://example.org/"onmouseover="x', 'a("https://example.org/") "\\"onmouseover=\\"x"'],
    ['https://a.example https://b.example', 'a("https://a.example") " " a("https://b.example")'],
    ['https://example.org/@ada', 'a("https://example.org/@ada")'],
  ]) {
    check(text, expected);
  }
});

test('mentions of me, and of nobody else', () => {
  for (const [text, expected, me] of [
    ['@Ada\u0301 @Ada', '"@Ada\u0301 " mark("@Ada")'],
    ['@ＡＤＡ', 'mark("@ＡＤＡ")'],
    ['@jose\u0301', 'mark("@jose\u0301")', 'José'],
    ['@STRASSE', 'mark("@STRASSE")', 'Straße'],
    ['@straßen', '"@straßen"', 'Strasse'],
    ['@inci @İNCİ', 'mark("@inci") " " mark("@İNCİ")', 'İnci'],
    ['@ada\u00a0lovelace', 'mark("@ada\u00a0lovelace")', 'Ada Lovelace'],
    ['@민수', '"@민수"', '민'],
    ['@علی\u200cرضا', '"@علی\u200cرضا"', 'علی'],
    ['@علی\u200cرضا', 'mark("@علی\u200cرضا")', 'علی\u200cرضا'],
    ['@علیرضا', 'mark("@علیرضا")', 'علی\u200cرضا'],
    ['@ශ්රී @ශ්\u200dරී', 'mark("@ශ්රී") " " mark("@ශ්\u200dරී")', 'ශ්\u200dරී'],
    ['@👩\u200d🚀', '"@👩\u200d🚀"', '👩'],
    ['@👩\u200d🚀!', 'mark("@👩\u200d🚀") "!"', '👩\u200d🚀'],
    ['@👍🏽', 'mark("@👍🏽")', '👍'],
    ['@👍 @👍🏽🎉', 'mark("@👍") " " mark("@👍🏽") "🎉"', '👍🏿'],
    ['@❤ @❤️', 'mark("@❤") " " mark("@❤️")', '❤️'],
    ['@❤️', 'mark("@❤️")', '❤'],
    ['@ada❤️', 'mark("@ada") "❤️"'],
    ['@ada: hi', 'mark("@ada") ": hi"'],
    ['hi @ADA!', '"hi " mark("@ADA") "!"'],
    ['@Grace', '"@Grace"'],
    ['@C++ (x)', 'mark("@C++ (x)")', 'C++ (x)'],
    ['@a.b @axb', 'mark("@a.b") " @axb"', 'a.b'],
    ['@שרה', 'mark("@שרה")', 'שרה'],
    ['@$&', 'mark("@$&")', '$&'],
  ]) {
    check(text, expected, me);
  }
  assert.equal(hasMention(parseText('**so, @ada**', 'Ada')), true);
  assert.equal(hasMention(parseText('`@ada`', 'Ada')), false);
});

test('what is joined again is the text, but for the marks of formatting', () => {
  const text = 'a *b* **c** `d` https://e.example, @ada f';
  const joined = (parts) => parts.map((part) => part.text ?? joined(part.parts)).join('');
  assert.equal(joined(parseText(text, 'Ada')), 'a b c d https://e.example, @ada f');
});

test('hostile texts cost little time and few parts', () => {
  const BYTES = 65_536;
  for (const unit of [
    '*', '**', '`', '```', '*a', '*a*', '*a* ', '**a** ', '`a', '`a` ', '```a', '* *', '@ada ', '@', 'https://', 'http://a ', 'https://a)',
    '(', ')', '*`', '**`*', '*a\n', '`\n', '```\n', '*@ada* ', '@ada\u0301 ', '@adax', '``a ', '`a``b', 'https://a]', 'https://\u00e9} ', 'a', ' ', '\n', '\u202e', '\ud83d\ude00', '*\u0301', '_', '*a`b',
  ]) {
    const text = unit.repeat(Math.ceil(BYTES / unit.length)).slice(0, BYTES);
    for (const hostile of [text, `\`\`\`${text}`, `*${text}`, `**${text}`, `https://${text}`]) {
      let parts;
      // Of the processor, and the least of three: the machine may be busy with something else.
      const took = Math.min(...[1, 2, 3].map(() => {
        const start = process.cpuUsage();
        parts = parseText(hostile, 'Ada');
        const { user, system } = process.cpuUsage(start);
        return (user + system) / 1000;
      }));
      assert.ok(took < 200, `${JSON.stringify(unit)} took ${took} ms`);
      assert.ok(parts.length <= 210, `${JSON.stringify(unit)}: ${parts.length} parts`);
    }
  }
});

test('a link that was cut is no link', () => {
  for (const [text, expected] of [
    ['see https://example.org/a', '"see " "https://example.org/a"'],
    ['https://a.example https://example.org/a.', 'a("https://a.example") " " "https://example.org/a."'],
    ['https://example.org/a then *this*', 'a("https://example.org/a") " then " em("this")'],
    ['*this*', 'em("this")'],
  ]) {
    assert.equal(shown(parseCut(text, 'Ada')), expected, text);
  }
});

test('a letter keeps the marks that a language needs', () => {
  for (const text of [
    'hello', 'Nguyễn', 'Nguye\u0302\u0303n', 'שָׁלוֹם', 'مُحَمَّد', 'น้ำ', 'བསྒྲུབས', 'မြွှေ့', 'क्षत्रिय', '❤️', '👩‍👩‍👧‍👦', '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
    `a${'\u0301'.repeat(8)}`,
  ]) {
    assert.equal(limitMarks(text), text);
  }
});

test('piles of marks are cut, whatever stands between them', () => {
  const pile = `a${'\u0301'.repeat(8)}`;
  for (const [text, expected] of [
    [`a${'\u0301'.repeat(9)}`, pile],
    [`a${'\u0301'.repeat(32_000)} b`, `${pile} b`],
    [`${pile}\u0302${pile}\u0302`, pile + pile],
    [`${pile}\u200d${'\u0301'.repeat(9)}`, pile],
    [`${pile}\ufe0f\u034f\u0301`, pile],
    [`${pile}\u3164\u0301`, pile],
    [`ก${'\u0e38'.repeat(50)}`, `ก${'\u0e38'.repeat(8)}`],
    [`x${'\u20dd'.repeat(50)}`, `x${'\u20dd'.repeat(8)}`],
  ]) {
    assert.equal(limitMarks(text), expected);
  }
});

test('a long text begins with its first lines', () => {
  const row = `${'x'.repeat(9)}\n`;
  const rows = (count) => Array(count).fill(row.trim()).join('\n');
  for (const [text, length] of [
    ['x'.repeat(1200), 1200],
    ['x'.repeat(1201), 1200],
    ['x'.repeat(65_536), 1200],
    [rows(20), 199],
    [rows(21), 199],
    ['\n'.repeat(65_000), 19],
    ['\r'.repeat(65_000), 19],
    ['\u2028'.repeat(30_000), 19],
    ['\n'.repeat(19), 19],
    [`${'x'.repeat(1199)}😀y`, 1199],
  ]) {
    const short = shortened(text);
    assert.equal(short.length, length, `${text.length}`);
    assert.ok(text.startsWith(short));
    assert.equal(short, short.toWellFormed());
  }
});

//! The build script's shortening of the page's script: what is renamed, and what must not be.

#[path = "../build/shorten.rs"]
mod shorten;

use shorten::shorten;

#[test]
fn scripts_are_shortened_and_mean_the_same() {
    let rows = [
        ("const first = 1;\nlet second = first + 2;\n", "let e=1,t=e+2;\n"),
        (
            "function add(left, right) {\n  return left + right;\n}\nadd(1, 2);",
            "function e(t,a){return t+a}e(1,2);\n",
        ),
        // A property in one place is kept in all.
        ("const size = 1;\nlog({ size });", "let size=1;log({size});\n"),
        ("const size = 1;\nlog({ size: size });", "let size=1;log({size:size});\n"),
        ("const size = 1;\nlog(node.size, size);", "let size=1;log(node.size,size);\n"),
        ("const { size = 2 } = node;", "let{size=2}=node;\n"),
        ("const pick = ({ size }) => size;", "let e=({size})=>size;\n"),
        (
            "class Order {\n  run = '';\n  #last = 0;\n  begin(run) {\n    this.#last = run;\n  }\n}",
            "class e{run='';#last=0;begin(run){this.#last=run}}\n",
        ),
        // Constants stand where they are used.
        ("const WAIT_MS = 5_000;\nlater(WAIT_MS, `${WAIT_MS} ms`);", "later(5_000,`${5_000} ms`);\n"),
        (
            "const KIND = {\n  ONE: 1,\n  TWO: 'two',\n};\nlog(KIND.ONE, { [KIND.TWO]: KIND.ONE });",
            "log(1,{['two']:1});\n",
        ),
        ("const KIND = { ONE: 1 };\nlog(KIND, KIND.ONE);", "let e={ONE:1};log(e,e.ONE);\n"),
        ("const KIND = { ONE: 1 };\nlog(KIND.TWO);", "let e={ONE:1};log(e.TWO);\n"),
        ("const SUM = 1 + 1;\nlog(SUM, SUM);", "let e=1+1;log(e,e);\n"),
        ("const A_B = 1;\nlog({ A_B: A_B });", "let A_B=1;log({A_B:A_B});\n"),
        ("const A_B = 1;\nlog({ one, A_B, two });", "let A_B=1;log({one,A_B,two});\n"),
        ("const WORDS = /a/g;\nlog(WORDS);", "let e=/a/g;log(e);\n"),
        // What is not declared is the browser's.
        ("document.title = name;", "document.title=name;\n"),
        // Neither strings nor patterns nor the texts of templates.
        (
            "const word = 'word word';\nlog(`word ${word} ${`word ${word}`} word`, /[word/]word/g.test(word));",
            "let e='word word';log(`word ${e} ${`word ${e}`} word`,/[word/]word/g.test(e));\n",
        ),
        ("const half = (whole) => whole / 2 / whole;", "let t=(e)=>e/2/e;\n"),
        ("const is = (one) => (one ? /a/ : one);", "let t=(e)=>(e?/a/:e);\n"),
        // Signs that would grow together, and ends of lines that end statements.
        ("let one = 1\nconst sum = one + +one - -one;\nsum++\n++one", "let e=1\nlet t=e+ +e- -e;t++\n++e\n"),
        (
            "const [head, ...tail] = list;\nfor (const item of tail) log(item, head);",
            "let[e,...a]=list;for(let t of a)log(t,e);\n",
        ),
        // What is no property by its place in a block, and declarations in a row.
        ("function go() {\n  size = 1;\n}\nlet size;", "function t(){e=1}let e;\n"),
        (
            "const pick = (one) => {\n  return one ? size : 1;\n};\nlet size;",
            "let a=(e)=>{return e?t:1},t;\n",
        ),
        (
            "const one = { two: 2 };\nlet three = [one];\nconst four = () => {\n  let five;\n  go();\n};",
            "let e={two:2},n=[e],a=()=>{let t;go()};\n",
        ),
        ("let one = 1\ngo();\nlet two = 2;", "let e=1\ngo();let t=2;\n"),
        ("const one = `${() => {\n  let two = 1;\n}}`;\nlet three;", "let e=`${()=>{let a=1}}`,t;\n"),
        ("let on = true;\nlog({ true: false, on }, node.true);", "let on=!0;log({true:!1,on},node.true);\n"),
        // Ends of lines and semicolons that are needed.
        ("const one = () => {\n  go();\n}\ngo(one)", "let e=()=>{go()}\ngo(e)\n"),
        ("function wait(one) {\n  while (one());\n}", "function t(e){while(e());}\n"),
        ("if (on) {\n  go();\n}\ngo();", "if(on){go()}go();\n"),
        ("try {\n  go();\n} catch (error) {\n  log(error);\n}", "try{go()}catch(e){log(e)}\n"),
        (
            "const put = (list, at = list.length) => list.map(([key, value]) => put(key, value, at));",
            "let n=(e,t=e.length)=>e.map(([a,o])=>n(a,o,t));\n",
        ),
    ];
    check(&rows);
}

#[test]
fn names_of_different_statements_share_a_short_one_and_those_of_the_whole_script_do_not() {
    check(&[
        (
            "const one = (left) => left;\nconst two = (right) => one(right);\ntwo(one);",
            "let e=(t)=>t,a=(t)=>e(t);a(e);\n",
        ),
        (
            "function one(left) {\n  return (right) => left + right + last;\n}\nfunction two(right) {\n  return right;\n}\nlet last;",
            "function n(a){return(e)=>a+e+t}function o(e){return e}let t;\n",
        ),
        (
            "for (const one of all) if (one) log(one);\nelse stop(one);\nconst pick = (two) => two;",
            "for(let e of all)if(e)log(e);else stop(e);let t=(e)=>e;\n",
        ),
    ]);
}

fn check(rows: &[(&str, &str)]) {
    for (script, expected) in rows {
        let short = shorten(script).expect(script);
        assert_eq!(short, *expected, "{script}");
    }
}

#[test]
fn what_is_no_script_or_could_change_is_refused() {
    let unnamed = ["const go = function () {};", "const go = function stop() {};", "const One = class {};"];
    let broken = ["const word = 'no end", "log(`no end ${word}", "log((1)", "log(1))", "log(/no end)"];
    for script in broken.iter().chain(&unnamed) {
        assert!(shorten(script).is_err(), "{script}");
    }
}

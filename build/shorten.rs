//! Shortens a script: drops white space, gives short names to what it declares, and puts constants where they
//! are used.
//!
//! A name is replaced everywhere by one that occurs nowhere, so all scopes stay as they are and none has to
//! be known. That takes telling names of variables from names of properties: a name that is a property in one
//! place is kept in all. Strings, templates' texts, regular expressions and whatever the script does not
//! declare, such as `document`, are not touched. A name that is declared must not be used as a browser's
//! global elsewhere.
//!
//! A constant has a name in capitals and is a number, a string, or an object of these that is never used as a
//! whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Shortens a script. The error says what is no JavaScript.
pub(crate) fn shorten(script: &str) -> Result<String, String> {
    let tokens = with_constants(&tokens(script)?);
    let names = short_names(&tokens)?;
    let mut text = String::new();
    let mut last = "";
    for token in &tokens {
        let is_property = matches!(last, "." | "?.");
        let short = names.get(token.text).filter(|_| token.kind == Kind::Word && !is_property);
        if token.follows_line && !matches!(last, "" | "{" | "(" | "[" | "," | ";") {
            text.push('\n');
        } else if token.follows_space && needs_space(last, token.text) {
            text.push(' ');
        }
        text.push_str(short.map_or(token.text, String::as_str));
        last = token.text;
    }
    text.push('\n');
    Ok(text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name or a keyword.
    Word,
    /// A string, number or regular expression, or text of a template.
    Literal,
    Sign,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// White space precedes.
    follows_space: bool,
    /// It contains the end of a line.
    follows_line: bool,
}

fn needs_space(before: &str, after: &str) -> bool {
    let (Some(before), Some(after)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let is_word = |char: char| char.is_alphanumeric() || "_$#".contains(char);
    is_word(before) && is_word(after) || before == after && "+-/".contains(before)
}

fn tokens(script: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    // Braces that are open: those of templates end where their text goes on.
    let mut braces = Vec::new();
    let mut rest = script;
    loop {
        let trimmed = rest.trim_start();
        let space = &rest[..rest.len() - trimmed.len()];
        rest = trimmed;
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let in_template = first == '}' && braces.last() == Some(&'$');
        let (kind, length) = if first.is_alphabetic() || "_$#".contains(first) {
            let is_end = |char: char| !char.is_alphanumeric() && !"_$".contains(char);
            (Kind::Word, rest[1..].find(is_end).map_or(rest.len(), |at| at + 1))
        } else if first.is_ascii_digit() {
            let is_end = |char: char| !char.is_alphanumeric() && !"_.".contains(char);
            (Kind::Literal, rest.find(is_end).unwrap_or(rest.len()))
        } else if matches!(first, '\'' | '"' | '`') || in_template {
            (Kind::Literal, literal_length(rest, if in_template { '`' } else { first })?)
        } else if first == '/' && begins_pattern(tokens.last()) {
            (Kind::Literal, pattern_length(rest)?)
        } else {
            let sign = ["...", "?.", "=>"].into_iter().find(|sign| rest.starts_with(sign));
            (Kind::Sign, sign.map_or(first.len_utf8(), str::len))
        };
        let text = &rest[..length];
        if first == '{' || kind == Kind::Literal && text.ends_with("${") {
            if in_template {
                braces.pop();
            }
            braces.push(if first == '{' { '{' } else { '$' });
        } else if first == '}' {
            braces.pop();
        }
        tokens.push(Token {
            kind,
            text,
            follows_space: !space.is_empty(),
            follows_line: space.contains('\n'),
        });
        rest = &rest[length..];
    }
}

/// The length of a string with its quotes, or of a template's text up to an expression in it.
fn literal_length(text: &str, quote: char) -> Result<usize, String> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '$' if quote == '`' && chars.peek().is_some_and(|&(_, char)| char == '{') => return Ok(at + 2),
            char if char == quote => return Ok(at + 1),
            _ => {}
        }
    }
    Err(format!("no end: {}", line_of(text)))
}

/// The length of a regular expression with its flags.
fn pattern_length(text: &str) -> Result<usize, String> {
    let mut is_in_class = false;
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '[' => is_in_class = true,
            ']' => is_in_class = false,
            '/' if !is_in_class => {
                let flags = text[at + 1..].chars().take_while(char::is_ascii_alphabetic).count();
                return Ok(at + 1 + flags);
            }
            _ => {}
        }
    }
    Err(format!("no end: {}", line_of(text)))
}

/// Whether a slash after this token begins a regular expression: it divides what is a value.
fn begins_pattern(before: Option<&Token<'_>>) -> bool {
    before.is_none_or(|token| match token.kind {
        Kind::Word => ["return", "typeof", "case"].contains(&token.text),
        Kind::Literal => token.text.ends_with("${"),
        Kind::Sign => ![")", "]", "}"].contains(&token.text),
    })
}

/// Puts constants where they are used, and drops their declarations.
fn with_constants<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let constants = constants(tokens);
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(&token) = tokens.get(at) {
        if let Some(declared) = constants.values().find(|constant| constant.declared.start == at) {
            at = declared.declared.end;
        } else if let Some((value, count)) =
            constants.get(token.text).and_then(|own| own.value_at(tokens, at))
        {
            all.push(Token { kind: Kind::Literal, text: value, ..token });
            at += count;
        } else {
            all.push(token);
            at += 1;
        }
    }
    all
}

/// The constants that can be put where they are used: all that stands elsewhere under their names is a use.
fn constants<'a>(tokens: &[Token<'a>]) -> BTreeMap<&'a str, Constant<'a>> {
    let mut constants = BTreeMap::new();
    for at in 0..tokens.len() {
        let Some(constant) = Constant::declared_at(tokens, at) else { continue };
        let name = tokens[at + 1].text;
        let mut others = (0..tokens.len()).filter(|&other| other != at + 1 && tokens[other].text == name);
        if others.all(|other| constant.value_at(tokens, other).is_some()) {
            constants.insert(name, constant);
        }
    }
    constants
}

struct Constant<'a> {
    declared: Range<usize>,
    /// Values by their keys; one that is no object has an empty key.
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Constant<'a> {
    /// `const NAME = value;` or `const NAME = { KEY: value, ... };`
    fn declared_at(tokens: &[Token<'a>], at: usize) -> Option<Self> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let is_value = |at: usize| {
            let begins = |char: char| char == '\'' || char.is_ascii_digit();
            tokens.get(at).is_some_and(|token| token.kind == Kind::Literal && token.text.starts_with(begins))
        };
        let is_capital = |char: char| char.is_ascii_uppercase() || char == '_';
        if text(at) != "const" || !text(at + 1).chars().all(is_capital) || text(at + 2) != "=" {
            return None;
        }
        let mut values = BTreeMap::new();
        let mut end = at + 3;
        if is_value(end) {
            values.insert("", text(end));
        } else {
            end += 1;
            while text(end + 1) == ":" && is_value(end + 2) {
                values.insert(text(end), text(end + 2));
                end += if text(end + 3) == "," { 4 } else { 3 };
            }
        }
        (text(end + 1) == ";" && !values.is_empty()).then_some(Self { declared: at..end + 2, values })
    }

    /// The value that is meant by the name at this token, and how many tokens say so. `None`: another is
    /// meant, or none.
    fn value_at(&self, tokens: &[Token<'a>], at: usize) -> Option<(&'a str, usize)> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let (before, after) = (text(at.wrapping_sub(1)), text(at + 1));
        let is_key = [".", "?."].contains(&before) || after == ":";
        // It could be a member of an object, whose key would be lost.
        let is_listed = ["{", ","].contains(&before) && [",", "}"].contains(&after);
        if tokens[at].kind != Kind::Word || is_key || is_listed {
            return None;
        }
        match self.values.get("") {
            Some(value) => Some((value, 1)),
            None if after == "." => self.values.get(text(at + 2)).map(|value| (*value, 3)),
            None => None,
        }
    }
}

/// What is around a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// A block or an object.
    Braces,
    Class,
    /// Parameters.
    Parameters,
    /// Anything else in parentheses, brackets or a template.
    Other,
    /// Brackets within parameters, or after `const` or `let`.
    Pattern,
}

/// The short name of each name that gets one, the most frequent the shortest.
fn short_names<'a>(tokens: &[Token<'a>]) -> Result<BTreeMap<&'a str, String>, String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let ends = ends(tokens)?;
    let mut around = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut declared, mut properties) = (BTreeSet::new(), BTreeSet::new());
    let mut class_begins = false;
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (text(at.wrapping_sub(1)), text(at + 1));
        let inner = around.last().copied();
        let is_template = token.kind == Kind::Literal;
        if token.kind == Kind::Word {
            *counts.entry(token.text).or_default() += 1;
            class_begins |= token.text == "class";
            let is_key = inner == Some(Around::Braces)
                && (after == ":" || ["{", ","].contains(&before) && [",", "}", "="].contains(&after));
            let is_method = inner == Some(Around::Braces)
                && after == "("
                && before != "function"
                && ends.get(&(at + 1)).is_some_and(|end| text(end + 1) == "{");
            let is_field = inner == Some(Around::Class);
            if [".", "?."].contains(&before) || is_key || is_method || is_field {
                properties.insert(token.text);
            }
            let is_parameter = matches!(inner, Some(Around::Parameters | Around::Pattern))
                && ["(", ",", "...", "["].contains(&before);
            if ["const", "let", "function", "class"].contains(&before) || after == "=>" || is_parameter {
                declared.insert(token.text);
            }
        } else if is_template && token.text.starts_with('}') || [")", "]", "}"].contains(&token.text) {
            around.pop();
        }
        match token.text {
            "{" if class_begins => {
                class_begins = false;
                around.push(Around::Class);
            }
            "{" => around.push(Around::Braces),
            "(" => {
                let next = ends.get(&at).map_or("", |end| text(end + 1));
                let is_condition = ["if", "for", "while", "switch"].contains(&before);
                let is_list = next == "=>" || next == "{" && !is_condition;
                around.push(if is_list { Around::Parameters } else { Around::Other });
            }
            "[" => {
                let is_pattern = ["const", "let"].contains(&before)
                    || matches!(inner, Some(Around::Parameters | Around::Pattern))
                        && ["(", ",", "["].contains(&before);
                around.push(if is_pattern { Around::Pattern } else { Around::Other });
            }
            text if is_template && text.ends_with("${") => around.push(Around::Other),
            _ => {}
        }
    }
    let is_free = |name: &str| !counts.contains_key(name) && !KEYWORDS.contains(&name);
    let mut shorts = (0..).map(name_of).filter(|name| is_free(name));
    let mut names: Vec<&str> = declared.difference(&properties).copied().collect();
    names.retain(|name| name.len() > 1 && !KEYWORDS.contains(name));
    names.sort_by_key(|name| (usize::MAX - counts[name], *name));
    Ok(names.into_iter().map_while(|name| Some((name, shorts.next()?))).collect())
}

/// Where each bracket ends.
fn ends(tokens: &[Token<'_>]) -> Result<BTreeMap<usize, usize>, String> {
    let mut open = Vec::new();
    let mut ends = BTreeMap::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_template = token.kind == Kind::Literal;
        if [")", "]", "}"].contains(&token.text) || is_template && token.text.starts_with('}') {
            let start = open.pop().ok_or_else(|| format!("nothing is open before {}", token.text))?;
            ends.insert(start, at);
        }
        if ["(", "[", "{"].contains(&token.text) || is_template && token.text.ends_with("${") {
            open.push(at);
        }
    }
    if open.is_empty() { Ok(ends) } else { Err("a bracket is not closed".to_owned()) }
}

/// The names of one letter, then those of two, and so on.
fn name_of(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.push(char::from(LETTERS[number % LETTERS.len()]));
        number /= LETTERS.len();
        if number == 0 {
            return name;
        }
        number -= 1;
    }
}

fn line_of(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

const LETTERS: &[u8; 52] = b"etanoirscldpuhmfgbyvwkxzjqETANOIRSCLDPUHMFGBYVWKXZJQ";
const KEYWORDS: [&str; 43] = [
    "as",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "default",
    "delete",
    "do",
    "else",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "from",
    "function",
    "get",
    "if",
    "import",
    "in",
    "instanceof",
    "let",
    "new",
    "null",
    "of",
    "return",
    "set",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
];

//! Shortens a script: drops white space and semicolons that end nothing, gives short names to what it
//! declares, joins declarations in a row, and puts constants where they are used.
//!
//! A name is replaced everywhere by one that occurs nowhere. Two names share one only if both are declared
//! inside of statements, and no statement of the script has both: so all scopes stay as they are, and none has
//! to be known. That takes telling names of variables from names of properties: a name that is a property in one
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
    let tokens = joined(&tokens, &ends(&tokens)?);
    let ends_of_statements = ends_of_statements(&tokens, &ends(&tokens)?)?;
    let mut text = String::new();
    let mut last = "";
    for (at, token) in tokens.iter().enumerate() {
        let is_property = matches!(last, "." | "?.");
        let short = names.get(token.text).filter(|_| token.kind == Kind::Word && !is_property);
        let is_end_known = matches!(last, "" | "{" | "(" | "[" | "," | ";")
            || token.text == "}"
            || ends_of_statements.contains(&at.wrapping_sub(1));
        if token.follows_line && !is_end_known {
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
    /// An object, or a pattern for one.
    Braces,
    /// A block or a function's body.
    Block,
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
    let words = words(tokens)?;
    let is_free = |name: &str| !words.contains_key(name) && !KEYWORDS.contains(&name);
    let mut free = (0..).map(name_of).filter(|name| is_free(name));
    let mut names: Vec<(&str, &Word)> = words.iter().map(|(name, word)| (*name, word)).collect();
    names.retain(|(name, word)| {
        word.is_declared && !word.is_property && name.len() > 1 && !KEYWORDS.contains(name)
    });
    names.sort_by_key(|(name, word)| (usize::MAX - word.count, *name));
    let everywhere: BTreeSet<usize> = words.values().flat_map(|word| &word.statements).copied().collect();
    // Each with the statements in which it is in use; a name of the whole script is in all.
    let mut shorts: Vec<(String, BTreeSet<usize>)> = Vec::new();
    let mut short_names = BTreeMap::new();
    for (name, word) in names {
        let own = if word.is_global { &everywhere } else { &word.statements };
        let at = shorts.iter().position(|(_, used)| used.is_disjoint(own)).unwrap_or(shorts.len());
        if at == shorts.len() {
            shorts.extend(free.next().map(|short| (short, BTreeSet::new())));
        }
        if let Some((short, used)) = shorts.get_mut(at) {
            used.extend(own);
            short_names.insert(name, short.clone());
        }
    }
    Ok(short_names)
}

/// How a word occurs in the script.
#[derive(Default)]
struct Word {
    count: usize,
    /// The statements of the script that have it, counted from its start.
    statements: BTreeSet<usize>,
    is_declared: bool,
    /// Declared outside of all blocks, or maybe.
    is_global: bool,
    is_property: bool,
}

fn words<'a>(tokens: &[Token<'a>]) -> Result<BTreeMap<&'a str, Word>, String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let ends = ends(tokens)?;
    let mut around = Vec::new();
    let mut words: BTreeMap<&str, Word> = BTreeMap::new();
    let mut statement = 0;
    let mut class_begins = false;
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (text(at.wrapping_sub(1)), text(at + 1));
        let inner = around.last().copied();
        let is_template = token.kind == Kind::Literal;
        if around.is_empty() && [";", "const", "let", "function", "class"].contains(&token.text) {
            statement += 1;
        }
        if token.kind == Kind::Word {
            let word = words.entry(token.text).or_default();
            word.count += 1;
            word.statements.insert(statement);
            class_begins |= token.text == "class";
            let is_key = inner == Some(Around::Braces)
                && (after == ":" || ["{", ","].contains(&before) && [",", "}", "="].contains(&after));
            let is_method = inner == Some(Around::Braces)
                && after == "("
                && before != "function"
                && ends.get(&(at + 1)).is_some_and(|end| text(end + 1) == "{");
            let is_field = inner == Some(Around::Class);
            word.is_property |= [".", "?."].contains(&before) || is_key || is_method || is_field;
            let is_parameter = matches!(inner, Some(Around::Parameters | Around::Pattern))
                && ["(", ",", "...", "["].contains(&before);
            let is_named = ["const", "let", "function", "class"].contains(&before);
            word.is_declared |= is_named || after == "=>" || is_parameter;
            word.is_global |= is_named && around.is_empty() || inner == Some(Around::Pattern);
        } else if is_template && token.text.starts_with('}') || [")", "]", "}"].contains(&token.text) {
            around.pop();
        }
        match token.text {
            "{" if class_begins => {
                class_begins = false;
                around.push(Around::Class);
            }
            "{" if BEFORE_BLOCKS.contains(&before) => around.push(Around::Block),
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
    Ok(words)
}

/// Makes one declaration of those in a row, all with `let`, and drops semicolons before a brace that closes.
fn joined<'a>(tokens: &[Token<'a>], ends: &BTreeMap<usize, usize>) -> Vec<Token<'a>> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let declares = |at: usize| ["const", "let"].contains(&text(at));
    // The loop that such a parenthesis belongs to may have no other body than the semicolon.
    let is_head = |end: usize| {
        let start = ends.iter().find(|(_, other)| **other == end).map_or(0, |(start, _)| *start);
        ["for", "while", "if"].contains(&text(start.wrapping_sub(1)))
    };
    let mut all = Vec::new();
    // For each bracket that is open, and for the whole, whether a declaration goes on.
    let mut goes_on = vec![false];
    let mut at = 0;
    while let Some(&token) = tokens.get(at) {
        // A line's end can be a statement's end.
        if let Some(last) = goes_on.last_mut().filter(|_| token.follows_line) {
            *last = false;
        }
        let closes = [")", "]", "}"].contains(&token.text) || is_end_of_place(token);
        if closes {
            goes_on.pop();
        }
        let is_semicolon = token.text == ";";
        let last = goes_on.last().copied().unwrap_or_default();
        if is_semicolon && last && declares(at + 1) {
            all.push(Token { text: ",", ..token });
            // Without the line's end, for a comma never ends a statement.
            at += 2;
            continue;
        }
        if !(is_semicolon && text(at + 1) == "}" && !is_head(at.wrapping_sub(1))) {
            let is_property = [".", "?."].contains(&text(at.wrapping_sub(1))) || text(at + 1) == ":";
            let text = match token.text {
                "const" => "let",
                "true" if !is_property => "!0",
                "false" if !is_property => "!1",
                text => text,
            };
            all.push(Token { text, ..token });
        }
        if let Some(last) = goes_on.last_mut() {
            *last = (*last || declares(at)) && !is_semicolon;
        }
        if ["(", "[", "{"].contains(&token.text) || is_start_of_place(token) {
            goes_on.push(false);
        }
        at += 1;
    }
    all
}

/// The braces that end a block, a class or a function that is declared: no line's end need follow them.
///
/// # Errors
/// If a function or a class has no name, for it may be a part of a statement that goes on.
fn ends_of_statements(
    tokens: &[Token<'_>],
    ends: &BTreeMap<usize, usize>,
) -> Result<BTreeSet<usize>, String> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let is_expression = |at: usize| {
        ["function", "class"].contains(&text(at)) && (text(at + 1) == "(" || text(at + 1) == "{")
            || text(at) == "function"
                && ["=", "(", ",", ":", "return", "=>"].contains(&text(at.wrapping_sub(1)))
    };
    if let Some(at) = (0..tokens.len()).find(|&at| is_expression(at)) {
        return Err(format!("only declared functions and classes: {} {}", text(at), text(at + 1)));
    }
    let is_block = |start: usize| text(start) == "{" && BEFORE_BLOCKS.contains(&text(start.wrapping_sub(1)));
    // An arrow's body ends an expression.
    let blocks = ends.iter().filter(|(start, _)| is_block(**start) && text(start.wrapping_sub(1)) != "=>");
    Ok(blocks.map(|(_, end)| *end).collect())
}

/// Whether an expression in a template begins behind this token.
fn is_start_of_place(token: Token<'_>) -> bool {
    token.kind == Kind::Literal && token.text.ends_with("${")
}

/// Whether an expression in a template ends before this token.
fn is_end_of_place(token: Token<'_>) -> bool {
    token.kind == Kind::Literal && token.text.starts_with('}')
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

/// What stands before a block, and never before an object or a pattern.
const BEFORE_BLOCKS: [&str; 7] = [")", "=>", "else", "try", "catch", "finally", "do"];
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

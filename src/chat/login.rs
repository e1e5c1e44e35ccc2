//! Login codes, each bound to the flow that began with a hello.

use crate::base::limits::{CODE_CHARS, CODE_TRIES, CODES_MAX};
use crate::base::moment::Moment;
use crate::base::shelf::{Key, Shelf};
use crate::chat::email::Email;
use crate::chat::session::Token;
use crate::chat::user_name::UserName;
use rand::Rng;
use std::fmt;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// A login code. It does not show itself in any log.
#[derive(Clone, Copy)]
pub struct Code([u8; CODE_CHARS]);

impl Code {
    /// A new code.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; CODE_CHARS];
        rng.fill_bytes(&mut bytes);
        // 256 is a multiple of 32, so every character is as likely as every other.
        Self(bytes.map(|byte| ALPHABET[usize::from(byte) % ALPHABET.len()]))
    }

    /// Reads a code as somebody typed it: any case, white space around it, and o, i and l for the digits that they look like.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let typed: [u8; CODE_CHARS] = typed.trim().as_bytes().try_into().ok()?;
        let code = typed.map(|byte| match byte.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            byte => byte,
        });
        code.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(code))
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }

    fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// Somebody who asked for a code and has not come in with it yet.
#[derive(Debug)]
pub struct Flow {
    /// The name that was asked for.
    pub name: UserName,
    /// The address that the code was sent to.
    pub email: Email,
    code: Code,
    tries_left: u8,
}

impl Flow {
    /// A flow with all its tries.
    #[must_use]
    pub fn new(name: UserName, email: Email, code: Code) -> Self {
        Self { name, email, code, tries_left: CODE_TRIES }
    }
}

/// All flows.
#[derive(Debug)]
pub struct Logins {
    flows: Shelf<(Token, Flow)>,
    code_ttl: Duration,
}

impl Logins {
    /// No flows; codes will be good for `code_ttl`.
    #[must_use]
    pub fn new(code_ttl: Duration) -> Self {
        Self { flows: Shelf::new(CODES_MAX), code_ttl }
    }

    /// Begins a flow; gives its key, and the token by which it is found from another connection.
    pub fn begin(&mut self, rng: &mut impl Rng, now: Moment, flow: Flow) -> (Key, String) {
        let token = Token::random(rng);
        let (key, _evicted) = self.flows.insert((token, flow), Some(now.after(self.code_ttl)));
        (key, token.write(key.slot()))
    }

    /// The flow of a token.
    #[must_use]
    pub fn find(&self, written: &str) -> Option<Key> {
        let (slot, token) = Token::read(written)?;
        let (key, (own, _)) = self.flows.in_slot(slot)?;
        own.is(token).then_some(key)
    }

    /// Tries a code. The right one ends the flow and gives it.
    ///
    /// # Errors
    /// The tries that are left; with none left the flow has ended.
    pub fn try_code(&mut self, key: Key, typed: &str) -> Result<Flow, u8> {
        let (_, flow) = self.flows.get_mut(key).ok_or(0)?;
        let is_right = Code::parse(typed).is_some_and(|code| flow.code.is(code));
        if !is_right {
            flow.tries_left -= 1;
        }
        let left = flow.tries_left;
        if is_right || left == 0 {
            let ended = self.flows.remove(key).map(|(_, flow)| flow);
            return if is_right { ended.ok_or(0) } else { Err(0) };
        }
        Err(left)
    }

    /// Ends a flow. Whether it was still there.
    pub fn void(&mut self, key: Key) -> bool {
        self.flows.remove(key).is_some()
    }

    /// Ends the flows whose time is over.
    pub fn forget_expired(&mut self, now: Moment) {
        while self.flows.pop_expired(now).is_some() {}
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// When the next code expires.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.flows.next_deadline()
    }
}

/// Crockford's 32 characters, without I, L, O and U (<https://www.crockford.com/base32.html>).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng, rngs::ChaCha20Rng};

    const TTL: Duration = Duration::from_mins(10);

    fn begin(logins: &mut Logins, rng: &mut ChaCha20Rng, now: Moment) -> (Key, String, Code) {
        let code = Code::random(rng);
        let name = UserName::parse("ada").unwrap();
        let flow = Flow::new(name, Email::parse("ada@example.org").unwrap(), code);
        let (key, token) = logins.begin(rng, now, flow);
        (key, token, code)
    }

    fn set_up() -> (Logins, ChaCha20Rng, Moment) {
        (Logins::new(TTL), ChaCha20Rng::from_seed([7; 32]), Moment::from_ms(0))
    }

    #[test]
    fn codes_are_read_kindly() {
        let rows = [
            ("01ABCD", Some("01ABCD")),
            (" oiabcd\n", Some("01ABCD")),
            ("OLAbcd", Some("01ABCD")),
            ("0LABCD", Some("01ABCD")),
            ("01ABCU", None),
            ("01ABC", None),
            ("01ABCDE", None),
            ("01ABÇ", None),
            ("", None),
        ];
        for (typed, expected) in rows {
            let code = Code::parse(typed);
            assert_eq!(code.as_ref().map(Code::as_str), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_code_is_good_once() {
        let (mut logins, mut rng, now) = set_up();
        let (key, _, code) = begin(&mut logins, &mut rng, now);
        let typed = code.as_str().to_lowercase();
        assert_eq!(logins.try_code(key, &typed).unwrap().name.as_str(), "ada");
        assert_eq!(logins.try_code(key, &typed).unwrap_err(), 0);
    }

    #[test]
    fn five_wrong_tries_void_a_code() {
        let (mut logins, mut rng, now) = set_up();
        let (key, _, code) = begin(&mut logins, &mut rng, now);
        let wrong = if code.as_str() == "000000" { "111111" } else { "000000" };
        let left: Vec<u8> = (0..6).map(|_| logins.try_code(key, wrong).unwrap_err()).collect();
        assert_eq!(left, [4, 3, 2, 1, 0, 0]);
        assert_eq!(logins.try_code(key, code.as_str()).unwrap_err(), 0);
    }

    #[test]
    fn a_flow_is_found_by_its_token_alone() {
        let (mut logins, mut rng, now) = set_up();
        let (key, token, _) = begin(&mut logins, &mut rng, now);
        let (other, other_token, _) = begin(&mut logins, &mut rng, now);
        assert_eq!((logins.find(&token), logins.find(&other_token)), (Some(key), Some(other)));
        for bad in ["", "x", &token[1..], &token.to_uppercase(), &format!("{token}A"), &"A".repeat(27)] {
            assert_eq!(logins.find(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_code_expires() {
        let (mut logins, mut rng, now) = set_up();
        let (key, _, code) = begin(&mut logins, &mut rng, now);
        assert_eq!(logins.next_deadline(), Some(now.after(TTL)));
        logins.forget_expired(now.after(TTL));
        assert_eq!(logins.try_code(key, code.as_str()).unwrap_err(), 0);
    }

    #[test]
    fn nothing_shows_a_code() {
        let code = Code::parse("01ABCD").unwrap();
        let name = UserName::parse("ada").unwrap();
        let flow = Flow::new(name, Email::parse("ada@example.org").unwrap(), code);
        let shown = format!("{code:?} {flow:?}");
        assert!(!shown.contains("01ABCD") && !shown.contains("example.org"), "{shown}");
    }
}

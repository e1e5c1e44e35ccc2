// The wire format, under the names of the protocol's table. Never decides what to do with a message. No DOM, no socket.

export const TYPE = {
  HELLO: 0,
  TEXT: 1,
  AUTH: 2,
  AUTH_ACK: 3,
  AUTH_RST: 4,
  MAY_NOT_ENTER: 5,
  NOTICE: 6,
  RESUME: 7,
  LEAVE: 8,
  PING: 9,
  GONE: 10,
};

export const REASON = {
  MALFORMED: 'malformed',
  BAD_NAME: 'bad-name',
  BAD_EMAIL: 'bad-email',
  MAIL_LIMITED: 'mail-limited',
  MAIL_FAILED: 'mail-failed',
  TOO_MANY_TRIES: 'too-many-tries',
  TOO_LONG: 'too-long',
  GAP: 'gap',
  APART: 'apart',
  RESTARTING: 'restarting',
  TOO_MANY_NAMES: 'too-many-names',
  NOT_ADMITTED: 'not-admitted',
  LOCKED: 'locked',
};

export const CLOSE = { LEFT: 1000, POLICY: 1008, RESTARTING: 1012 };
/** Unless a hello says otherwise. */
export const CODE_CHARS = 6;

export const hello = (name, email) => ({ type: TYPE.HELLO, text: `${name}\n${email}` });
export const text = ({ text, ref }) => ({ type: TYPE.TEXT, text, ref });
export const auth = (code, flow) => ({ type: TYPE.AUTH, text: code, flow });
// With no line on the screen (`after` is 0) the history is wanted, as for a newcomer.
export const resume = (token, run, after) => ({ type: TYPE.RESUME, text: token, ...(after && { run, after }) });
export const leave = { type: TYPE.LEAVE };
export const ping = { type: TYPE.PING, text: 'page' };

export const encode = JSON.stringify;
// A missing `user` or `text` reads as empty.
export const decode = (frame) => ({ user: { name: '' }, text: '', ...JSON.parse(frame) });

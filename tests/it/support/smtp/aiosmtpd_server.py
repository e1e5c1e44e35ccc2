"""Runs aiosmtpd, and prints its port, then each email as a line of JSON, as Python's own parser reads it.

Arguments: certificate, key, and `starttls` or `smtps`. The user is ada@example.org, the password "pass word%:é".
It ends when its standard input does.
"""

import asyncio
import json
import ssl
import sys
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, kind = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
LOGIN = LoginPassword(b"ada@example.org", "pass word%:é".encode())


def check(server, session, envelope, mechanism, login):
    # Not handled: it is aiosmtpd that answers.
    return AuthResult(success=login == LOGIN, handled=False)


class Printer:
    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        parts = [message, *message.iter_parts()]
        # The newer parser keeps the blank between two encoded words (RFC 2047, section 6.2); the older does not.
        name, address = parseaddr(message_from_bytes(envelope.content)["from"])
        print(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "encrypted": session.ssl is not None or kind == "smtps",
                    "hello": session.host_name,
                    "sender": [str(make_header(decode_header(name))), address],
                    "subject": message["subject"],
                    "date": message["date"].datetime.timestamp(),
                    "automatic": message["auto-submitted"],
                    "id": message["message-id"],
                    "plain": message.get_body(["plain"]).get_content(),
                    "html": message.get_body(["html"]).get_content(),
                    "defects": [str(defect) for part in parts for defect in part.defects]
                    + [str(defect) for part in parts for field in part.values() for defect in field.defects],
                }
            ),
            flush=True,
        )
        return "250 2.0.0 kept"


async def serve():
    loop = asyncio.get_running_loop()
    tls = {"auth_require_tls": False} if kind == "smtps" else {"tls_context": context, "require_starttls": True}
    server = await loop.create_server(
        lambda: SMTP(Printer(), hostname="localhost", auth_required=True, authenticator=check, loop=loop, **tls),
        "127.0.0.1",
        0,
        ssl=context if kind == "smtps" else None,
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())

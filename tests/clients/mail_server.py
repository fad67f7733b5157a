"""A mail server of the tests: aiosmtpd, which asks for a password and, unless told otherwise, for STARTTLS.

mail_server.py PORT CERTIFICATE KEY (starttls|implicit|plain). The account is ada:correct-horse. Mails to a name that begins with
"nobody" are refused for good, the first one to one that begins with "later" for now. Each line of output is a mail as JSON.
"""

import asyncio
import json
import ssl
import sys
from email import policy
from email.parser import BytesParser

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 There is nobody of that name"
        if address.startswith("later") and address not in self.put_off:
            self.put_off.add(address)
            return "451 4.7.1 Greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = BytesParser(policy=policy.default).parsebytes(envelope.content)
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "id": mail["message-id"],
            "reply_to": mail["reply-to"],
            "headers": mail.keys(),
            "text": mail.get_content(),
            "tls": session.ssl is not None or MODE == "implicit",
            "login": bool(session.authenticated),
        }), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"ada" and data.password == b"correct-horse"
    return AuthResult(success=good, handled=good)


MODE = sys.argv[4]


async def main():
    port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = Handler()

    def factory():
        if MODE == "starttls":
            return SMTP(handler, tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True)
        if MODE == "implicit":
            return SMTP(handler, authenticator=authenticate, auth_required=True, auth_require_tls=False)
        return SMTP(handler, enable_SMTPUTF8=True)

    loop = asyncio.get_running_loop()
    tls = context if MODE == "implicit" else None
    server = await loop.create_server(factory, "127.0.0.1", port, ssl=tls)
    print(json.dumps({"ready": True}), flush=True)
    await server.serve_forever()


asyncio.run(main())

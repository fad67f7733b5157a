// Signs and verifies with the libraries of octokit and of Standard Webhooks: a question a line, an answer a line.
import { createInterface } from "node:readline";
import { sign, verify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";

function standardVerify(question) {
  const headers = {
    "webhook-id": question.id,
    "webhook-timestamp": String(question.at),
    "webhook-signature": question.header,
  };
  try {
    new Webhook(question.secret).verify(question.body, headers);
  } catch (error) {
    // A body that verifies and is no JSON is verified all the same.
    return error instanceof SyntaxError;
  }
  return true;
}

const answers = {
  "hub-sign": (question) => sign(question.secret, question.body),
  "hub-verify": (question) => verify(question.secret, question.body, question.header),
  "standard-sign": (question) =>
    new Webhook(question.secret).sign(question.id, new Date(question.at * 1000), question.body),
  "standard-verify": standardVerify,
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  console.log(JSON.stringify(await answers[question.do](question)));
}

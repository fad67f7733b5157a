// Drives socket.io-client as a test says: one question a line, one answer a line, each with the question's number.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const clients = new Map();
const PATIENCE = 120000;

// A push that has happened, or the next one that fits.
const wait = (client, { event, has = "" }) => {
  const fits = (push) => push.event === event && JSON.stringify(push.args).includes(has);
  const found = client.pushes.find(fits);
  if (found) return found;
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event} with ${has} came; there was ${JSON.stringify(client.pushes).slice(-2000)}`)), PATIENCE);
    client.waiting.push((push) => {
      if (!fits(push)) return false;
      clearTimeout(late);
      resolve(push);
      return true;
    });
  });
};

const answers = {
  connect({ name, url, auth, headers, transports }) {
    const socket = io(url, { auth, extraHeaders: headers, transports, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 300 });
    const client = { socket, pushes: [], waiting: [], after: undefined };
    clients.set(name, client);
    const note = (event, args) => {
      const push = { event, args };
      client.pushes.push(push);
      if (args[0]?.seq) client.after = args[0].seq;
      client.waiting = client.waiting.filter((taker) => !taker(push));
    };
    socket.onAny((event, ...args) => note(event, args));
    socket.on("disconnect", (reason) => note("disconnect", [reason]));
    return new Promise((resolve) => {
      socket.once("connect", () => resolve({ connected: true, transport: socket.io.engine.transport.name }));
      socket.once("connect_error", (error) => { socket.close(); resolve({ connected: false, why: error.message }); });
    });
  },
  call({ name, event, args = [] }) {
    return clients.get(name).socket.timeout(PATIENCE).emitWithAck(event, ...args);
  },
  // As the manual has it: subscribe at every connection, after the last event that was seen.
  follow({ name, stack }) {
    const client = clients.get(name);
    const subscribe = () => client.socket.emitWithAck("subscribe", stack, { after: client.after });
    client.socket.on("connect", subscribe);
    return subscribe();
  },
  wait({ name, ...wanted }) {
    return wait(clients.get(name), wanted);
  },
  pushes({ name }) {
    return clients.get(name).pushes;
  },
  close({ name }) {
    clients.get(name).socket.close();
    return {};
  },
};

const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { number, ask, ...question } = JSON.parse(line);
  let answer;
  try {
    answer = { number, answer: await answers[ask](question) };
  } catch (error) {
    answer = { number, failed: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
lines.on("close", () => process.exit(0));

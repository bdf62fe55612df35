// The WebSocket: comes back by itself, and knows when it is dead although nobody said so.

// The server says something every 2 s; after so much silence the link counts as lost [ms].
const SILENCE = 8000;
// Pauses between attempts: random, up to a bound that doubles, so that a hundred pages do not all
// come at once when a server is back [ms].
const FIRST = 500;
const LONGEST = 20000;

export class Link {
  // `onState(state, text)`: state is "connecting", "live" or "lost".
  constructor(onMessage, onState) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.bound = FIRST;
    this.socket = null;
    this.live = false;
    this.heard = 0;
    // A laptop that wakes up, or a phone that is back in the network, need not wait.
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
    setInterval(() => this.watch(), 1000);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live`);
    this.socket = socket;
    this.heard = performance.now();
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.heard = performance.now();
      const message = JSON.parse(event.data);
      if (message.type === "hello") {
        this.live = true;
        this.bound = FIRST;
        this.onState("live", "Live");
      }
      this.onMessage(message);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event.reason);
    };
  }

  lost(reason) {
    const socket = this.socket;
    this.socket = null;
    this.live = false;
    socket?.close();
    const pause = (0.3 + 0.7 * Math.random()) * this.bound;
    this.bound = Math.min(LONGEST, 2 * this.bound);
    this.again = performance.now() + pause;
    this.timer = setTimeout(() => this.connect(), pause);
    this.onState("lost", reason);
  }

  watch() {
    if (this.socket && performance.now() - this.heard > SILENCE) {
      this.lost("Nothing was heard for 8 seconds.");
    }
  }

  hurry() {
    if (this.timer) this.connect();
    else this.watch();
  }

  // Returns whether it was sent.
  send(message) {
    if (!this.live || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }
}

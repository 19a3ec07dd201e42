// The component: a wall of panes over one state. Streamlit calls the function at the end with each run of the script.

const SEEN = new WeakMap();

class Viewer {
  constructor(root, data, tell) {
    Object.assign(this, { root, data, tell, due: false, opened: performance.now() });
    this.state = {
      ...{ scale: 1, across: 0, down: 0, fitted: true, look: plainLook(), heat: true, opacity: 1, boxes: true },
      ...{ lens: false, measure: false, only: null, lines: [], pointer: null, readout: true },
      choice: data.choice,
    };
    this.changed = this.changed.bind(this);
    this.listening = new AbortController();
    this.commands = commandsOf(this);
    this.wall = Object.assign(document.createElement("div"), { className: "wall" });
    this.help = makeHelp(this);
    root.replaceChildren(makeToolbar(this), this.wall, this.status, this.help);
    this.hang();
    listenToKeys(this, this.listening.signal);
    this.resizing = new ResizeObserver(() => this.layOut());
    this.resizing.observe(this.wall);
    this.layOut();
  }

  /** Make the panes: this exam's, and the earlier one's where there is one. */
  hang() {
    const host = { changed: this.changed, clicked: (label) => this.pick(label) };
    const exams = [this.data, ...(this.data.prior ? [this.data.prior] : [])];
    const views = exams.map((exam) => askForParts(exam.pictures));
    const rows = Math.max(...exams.map((exam) => exam.rows.length));
    this.rows = Array.from({ length: rows }, (_, i) =>
      exams.flatMap((exam, earlier) =>
        (exam.rows[i] ?? [null, null]).map((slot) => {
          const pane = makePane(slot, { ...host, note: exam.note, views: views[earlier] });
          pane.earlier = earlier === 1;
          if (pane.image) listenOn(pane, this);
          return pane;
        }),
      ),
    );
    this.panes = this.rows.flat();
    this.wall.replaceChildren(...this.panes.map((pane) => pane.element));
  }

  /** Panes with a picture that are on the wall now. */
  shown() {
    return this.panes.filter((pane) => pane.image && !pane.element.hidden);
  }

  /** The pane that was touched last: keys act on it. */
  held() {
    const shown = this.shown();
    return shown.includes(this.touched) ? this.touched : shown[0];
  }

  hold(pane) {
    this.touched = pane;
  }

  layOut() {
    const { only } = this.state;
    const columns = (only === null ? 2 : 1) * (this.data.prior ? 2 : 1);
    for (const pane of this.panes) {
      const twin = only !== null && pane.earlier && pane.image?.title === only.image.title;
      pane.element.hidden = only !== null && pane !== only && !twin;
    }
    this.wall.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const heights = this.rows.map((row) => (row.some((pane) => pane.image) ? "minmax(0, 1fr)" : "2.2rem"));
    this.wall.style.gridTemplateRows = only === null ? heights.join(" ") : "minmax(0, 1fr)";
    for (const pane of this.shown()) {
      pane.width = Math.max(1, pane.element.clientWidth);
      pane.height = Math.max(1, pane.element.clientHeight);
    }
    if (this.state.fitted) fit(this.state, this.shown());
    this.changed();
  }

  /** Draw at the next frame, once. */
  changed() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  draw() {
    QUEUE.wanted = [];
    const complete = this.shown().map((pane) => drawPane(pane, this.state));
    fetchWanted();
    fetchMaps(this);
    refreshToolbar(this);
    this.root.dataset.complete = String(complete.every(Boolean));
    if (complete.every(Boolean) && !this.root.dataset.openedMs) {
      this.root.dataset.openedMs = String(Math.round(performance.now() - this.opened));
    }
  }

  fit() {
    fit(this.state, this.shown());
  }

  actual() {
    const pane = this.held();
    const wanted = 1 / ((window.devicePixelRatio || 1) * Math.min(...pane.image.unit));
    zoomAt(this.state, this.shown(), pane, [pane.width / 2, pane.height / 2], wanted / this.state.scale);
  }

  nextPreset() {
    const greys = this.held().picture.head?.greys;
    if (!greys) return;
    this.choosePreset(((this.state.look.preset ?? greys.chosen) + 1) % greys.presets.length);
  }

  choosePreset(place) {
    this.state.look = { ...plainLook(), invert: this.state.look.invert, preset: place };
    this.changed();
  }

  resetLook() {
    this.state.look = plainLook();
  }

  nextEvidence(step) {
    const { labels } = this.data;
    if (!labels.length) return;
    const place = labels.indexOf(this.state.choice);
    const label = labels[(place < 0 ? (step > 0 ? 0 : labels.length - 1) : place + step + labels.length) % labels.length];
    this.choose(label);
    this.tell("clicked", label);
  }

  /** Show the evidence of a label, or of all that speaks for the class, and bring it to the middle of every view. */
  choose(label) {
    this.state.choice = label;
    for (const pane of this.panes.filter((one) => one.image && !one.earlier)) {
      const mark = pane.image.marks.find((one) => !one.dashed && one.labels.includes(label));
      if (!mark) continue;
      if (pane.element.hidden) this.showOnly(null);
      centreOn(this.state, this.shown(), pane, mark.box);
      this.hold(pane);
      this.say(`Evidence ${label} on ${pane.image.title}`);
    }
    this.changed();
  }

  /** Somebody clicked a label: it is shown where it is. */
  pick(label) {
    this.state.choice = label;
    this.tell("clicked", label);
    this.changed();
  }

  toggleRuler() {
    this.state.measure = !this.state.measure;
    this.wall.classList.toggle("measuring", this.state.measure);
    this.say(this.state.measure ? "Ruler: drag a line over a view." : "");
  }

  /** The page opens the earlier exam, which is written down, and hands it over. */
  togglePrior() {
    if (this.data.offersPrior) this.tell("prior", true);
    else this.say("There is no earlier exam of this patient here.");
  }

  /** Take over what the page hands over anew. */
  update(data, tell) {
    const { choice, asked, prior } = this.data;
    Object.assign(this, { data, tell });
    if (JSON.stringify(data.prior) !== JSON.stringify(prior)) {
      Object.assign(this.state, { only: null, fitted: true });
      this.refreshed = "";
      this.hang();
      this.layOut();
    }
    if (data.asked !== asked || (data.choice !== choice && data.choice !== this.state.choice)) this.choose(data.choice);
  }

  showPlace(place) {
    const pane = this.panes.filter((one) => one.image && !one.earlier)[place];
    if (pane) this.showOnly(pane);
  }

  showOnly(pane) {
    this.state.only = pane;
    this.state.fitted = true;
    this.layOut();
  }

  allViews() {
    if (!this.help.hidden) return this.toggleHelp();
    this.root.querySelector(".screen")?.remove();
    this.state.lines = [];
    if (this.state.only !== null) this.showOnly(null);
  }

  toggleHelp() {
    this.help.hidden = !this.help.hidden;
    this.buttons.Keys.setAttribute("aria-expanded", String(!this.help.hidden));
  }

  say(words) {
    this.status.textContent = words;
  }

  close() {
    this.listening.abort();
    this.resizing.disconnect();
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".viewer");
  let viewer = SEEN.get(root);
  if (viewer?.data.key !== data.key) {
    viewer?.close();
    delete root.dataset.openedMs;
    viewer = new Viewer(root, data, setTriggerValue);
    SEEN.set(root, viewer);
    if (data.choice !== "All") viewer.choose(data.choice);
  } else {
    viewer.update(data, setTriggerValue);
  }
  return () => {
    SEEN.get(root)?.close();
    SEEN.delete(root);
  };
}

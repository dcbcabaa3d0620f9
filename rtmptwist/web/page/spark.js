// A line of the last two minutes. The figure beside it says the same to who does not see it.

const SVG = "http://www.w3.org/2000/svg";
const SPAN = 120; // seconds
const GAP = 4; // seconds without a figure are a gap
const STILL = 10; // seconds between two drawings, for who wants less motion
const [WIDTH, HEIGHT] = [120, 24];
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Spark {
  #samples = []; // [seconds, value], oldest first
  #drawn = -Infinity;

  constructor() {
    this.node = document.createElementNS(SVG, "svg");
    this.node.setAttribute("class", "spark");
    this.node.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.node.setAttribute("preserveAspectRatio", "none");
    this.node.setAttribute("aria-hidden", "true");
    this.area = this.node.appendChild(document.createElementNS(SVG, "path"));
    this.area.setAttribute("class", "area");
    this.line = this.node.appendChild(document.createElementNS(SVG, "path"));
    this.line.setAttribute("class", "line");
  }

  /** One more figure, at this second. */
  add(second, value) {
    this.#samples.push([second, value]);
    while (this.#samples[0][0] < second - SPAN) this.#samples.shift();
    if (calm.matches && second - this.#drawn < STILL) return;
    this.#drawn = second;
    this.#draw(second);
  }

  #draw(now) {
    const most = Math.max(1, ...this.#samples.map(([, value]) => value)) * 1.1;
    let line = "";
    let area = "";
    let before = null;
    let x = 0;
    for (const [second, value] of this.#samples) {
      const gap = before === null || second - before > GAP;
      if (gap && before !== null) area += `L${x} ${HEIGHT}Z`;
      x = (WIDTH + ((second - now) / SPAN) * WIDTH).toFixed(1);
      const y = (HEIGHT - (value / most) * HEIGHT).toFixed(1);
      line += `${gap ? "M" : "L"}${x} ${y}`;
      area += gap ? `M${x} ${HEIGHT}L${x} ${y}` : `L${x} ${y}`;
      before = second;
    }
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", `${area}L${x} ${HEIGHT}Z`);
  }
}

import { formatBytes, formatCount, formatDuration } from '../cli/format.ts';
import type { RunStatus } from '../shared/usecases/read-run.ts';

const PLAIN_EVERY_MS = 5000;

/** Shows how far runs are: one line per run that is drawn anew on a terminal, a plain line now and then elsewhere. */
export class ProgressDisplay {
  readonly #out: NodeJS.WriteStream;
  readonly #startedAt = performance.now();
  #drawnLines = 0;
  #plainAt = 0;
  #lastPlain = '';

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(statuses: readonly RunStatus[]): void {
    const lines = statuses.map((status) => this.#line(status));
    if (this.#out.isTTY) {
      const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A` : '';
      const width = this.#out.columns || 80;
      this.#out.write(`${up}${lines.map((line) => `\u001b[2K${line.slice(0, width - 1)}\n`).join('')}`);
      this.#drawnLines = lines.length;
      return;
    }
    const now = performance.now();
    const plain = lines.join('\n');
    const ended = statuses.every(({ summary }) => summary !== null);
    if (plain === this.#lastPlain || (!ended && now - this.#plainAt < PLAIN_EVERY_MS)) return;
    this.#plainAt = now;
    this.#lastPlain = plain;
    this.#out.write(`${plain}\n`);
  }

  #line({ load, state, progress }: RunStatus): string {
    const { objectsDone, objectsPosted, objectsTotal, bytesDone, bytesTotal, planningEnded } = progress;
    const elapsedMs = performance.now() - this.#startedAt;
    const rate = objectsDone / (elapsedMs / 1000);
    const left =
      rate > 0 && planningEnded && objectsDone < objectsTotal
        ? `, about ${formatDuration(((objectsTotal - objectsDone) / rate) * 1000)} left`
        : '';
    const total = planningEnded ? formatCount(objectsTotal) : `${formatCount(objectsTotal)}+`;
    return (
      `${load.padEnd(12)} ${state.padEnd(10)} ${formatCount(objectsDone)} of ${total} objects, ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}` +
      `${objectsDone < objectsTotal && objectsPosted > 0 ? `, ${formatCount(objectsPosted)} posted` : ''}, ${rate.toFixed(0)} objects/s${left}`
    );
  }
}

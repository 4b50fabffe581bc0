// Runs on whatever Node a machine has (20 or newer), before anything is installed: plain JavaScript, no dependencies.
//
//   node scripts/set-up.mjs <program> [arguments]
//
// Installs the dependencies when they are missing or older than the lock file, builds the app when a source is newer
// than the build, then runs the program on the Node that the project brings along.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = path.join(root, 'node_modules', '.bin');

/** The process under way, and whether it has a process group of its own. */
let current = null;
let stopping = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    stopping = true;
    if (current === null) process.exit(130);
    // A set-up step may have children of its own (npm has): its whole group is ended.
    if (current.ownGroup) killGroup(current.child.pid, signal);
    else current.child.kill(signal);
  });
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
}

function run(command, args, { ownGroup, quiet = false }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['inherit', quiet ? 'ignore' : 'inherit', 'inherit'],
      detached: ownGroup,
      env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}` },
    });
    current = { child, ownGroup };
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      current = null;
      resolve(signal === null ? code : 130);
    });
  });
}

async function step(title, command, args) {
  console.error(title);
  const code = await run(command, args, { ownGroup: true, quiet: true });
  if (stopping) process.exit(130);
  if (code !== 0) {
    console.error(
      `${[path.basename(command), ...args].join(' ')} ended with code ${code}; see its messages above.`,
    );
    process.exit(1);
  }
}

/** Time of the last change, or 0 when there is no such file. */
function changedAt(...parts) {
  const file = path.join(root, ...parts);
  return existsSync(file) ? statSync(file).mtimeMs : 0;
}

function newestSource() {
  const folders = ['functions', 'shared'];
  const times = folders.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true }).map((file) => changedAt(folder, String(file))),
  );
  return Math.max(...times, changedAt('rolldown.config.ts'), changedAt('package-lock.json'));
}

const [program, ...args] = process.argv.slice(2);
if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(
    `Node ${process.versions.node} is too old: install Node 20 or newer from https://nodejs.org and try again.`,
  );
  process.exit(1);
}
if (process.platform === 'win32') {
  console.error('Windows itself is not supported: use the Windows Subsystem for Linux (https://aka.ms/wsl).');
  process.exit(1);
}
if (program === undefined) {
  console.error('usage: node scripts/set-up.mjs <program> [arguments]');
  process.exit(2);
}

// npm writes this file last: an installation that was cut off has none.
if (changedAt('node_modules', '.package-lock.json') < changedAt('package-lock.json')) {
  await step('Installing dependencies...', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
}
const node = path.join(bin, 'node');
if (!existsSync(node)) {
  console.error('The node package did not install its program. Run: npm rebuild node');
  process.exit(1);
}
if (changedAt('dist', 'main.js') < newestSource()) {
  await step('Building the app...', node, [path.join('node_modules', 'rolldown', 'bin', 'cli.mjs'), '-c']);
}
// The program handles signals itself: it stops what it has started.
process.exit(await run(node, [program, ...args], { ownGroup: false }));

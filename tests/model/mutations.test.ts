import { expect, test } from 'vitest';
import type { LedgerEntry } from '../../shared/domain/ledger-entry.ts';
import type { RunView } from '../../shared/domain/run-record.ts';
import type { RunWrite } from '../../shared/ports/run-store.ts';
import { expectNoViolation, withoutPauses } from './expect-no-violation.ts';
import { explore } from './explore.ts';
import {
  planBesideEvent,
  recheckBesideReport,
  rewrittenInFlight,
  takenOverDuring,
  twinOf,
  twoIngestUnits,
  twoTakePosted,
} from './scenarios.ts';
import { beginExecution, type Mutation, type Scenario } from './stage.ts';

/** A model that finds nothing may be one that sees nothing: without a guard it must find what the guard is for. */

const MINUTE = 60_000;

withoutPauses();

/** The ledger writes whatever it is asked to, whoever wrote in between. */
const withoutIntent: Mutation = (loader) => ({
  ...loader,
  ledger: {
    ...loader.ledger,
    write: async (name, writes) => {
      const keys = writes.map(({ entry }) => entry.key);
      const now = await loader.ledger.readKeys(name, keys);
      return loader.ledger.write(
        name,
        writes.map(({ entry }) => ({ entry, etag: now.get(entry.key)?.etag ?? null })),
      );
    },
  },
});

/** An open object may be posted again at once. */
const withoutFence: Mutation = (loader) => ({
  ...loader,
  timing: { ...loader.timing, downloadGraceMs: -loader.timing.urlLifetimeMs },
});

/** A client that sends again when it gets no answer. */
const withoutOneTry: Mutation = (loader, world) => ({
  ...loader,
  ingestion: async (cluster) => {
    const ingestion = await loader.ingestion(cluster);
    return {
      ...ingestion,
      post: async (request) => {
        const result = await ingestion.post(request);
        const isIn = world.messages.some(({ sourceId }) => sourceId === request.sourceId);
        if (result.result === 'ambiguous' && isIn) world.sendAgain(request.sourceId);
        return result;
      },
    };
  },
});

/** Rows of runs are written whatever has become of them: a takeover stops nobody. */
const withoutEpoch: Mutation = (loader) => ({
  ...loader,
  runs: {
    ...loader.runs,
    commit: async (runId, writes) => {
      const view = await loader.runs.readRun(runId);
      return loader.runs.commit(
        runId,
        writes.map((write) => ({ ...write, etag: etagIn(view, write) })),
      );
    },
  },
});

function etagIn(view: RunView | null, { value }: RunWrite): string | null {
  if (view === null) return null;
  switch (value.row) {
    case 'run':
      return view.run.etag;
    case 'control':
      return view.control.etag;
    case 'part':
      return (
        view.parts.find((one) => one.value.part === value.part && one.value.epoch === value.epoch)?.etag ??
        null
      );
    case 'shard':
      return view.shards.find((one) => one.value.shard === value.shard)?.etag ?? null;
  }
}

/** A part does not remember what its turn holds. */
const withoutTurnMemory =
  (parts: 'lane-' | 'settler-'): Mutation =>
  (loader) => ({
    ...loader,
    runs: {
      ...loader.runs,
      readRun: async (runId) => {
        const view = await loader.runs.readRun(runId);
        return (
          view && {
            ...view,
            parts: view.parts.map((part) =>
              part.value.part.startsWith(parts) ? { ...part, value: { ...part.value, holds: null } } : part,
            ),
          }
        );
      },
    },
  });

/** Documents whose names hold the text are whatever was written last. */
const withoutMemoryOf =
  (name: string): Mutation =>
  (loader) => ({
    ...loader,
    documents: {
      ...loader.documents,
      put: (path, body, when) => loader.documents.put(path, body, path.includes(name) ? 'always' : when),
    },
  });

/** The number of an attempt begins anew with each message. */
const withoutAttemptSeq: Mutation = (loader) => ({
  ...loader,
  ledger: {
    ...loader.ledger,
    readKeys: async (name, keys) => {
      const entries = await loader.ledger.readKeys(name, keys);
      return new Map(
        [...entries].map(([key, { value, etag }]) => [key, { value: { ...value, attemptSeq: 0 }, etag }]),
      );
    },
  },
});

/** Writes of the ledger, without what they say of a message whose fate or version nobody knows. */
const writing =
  (change: (entry: LedgerEntry) => LedgerEntry): Mutation =>
  (loader) => ({
    ...loader,
    ledger: {
      ...loader.ledger,
      write: (name, writes) =>
        loader.ledger.write(
          name,
          writes.map(({ entry, etag }) => ({ entry: change(entry), etag })),
        ),
    },
  });

/** An object that was given up behind its fence has failed, and that is all. */
const withoutUnknownFate = writing((entry) => ({ ...entry, fateUnknown: false }));

/** What ADX has ingested is what was planned, whatever the key holds by then. */
const withoutLookAtKeys = writing((entry) =>
  entry.state === 'ingested' ? { ...entry, errorCode: null } : entry,
);

/** URLs name no version, though the objects have version ids. */
const withoutVersionIds: Mutation = (loader) => ({
  ...loader,
  source: async (definition) => {
    const source = await loader.source(definition);
    return {
      ...source,
      presignGet: async (input) => {
        const signed = await source.presignGet(input);
        const url = new URL(signed.url);
        url.searchParams.delete('versionId');
        return { ...signed, url: url.href };
      },
    };
  },
});

const REWRITTEN = rewrittenInFlight({ posts: ['accepted'] });

const REWRITTEN_PINNED = rewrittenInFlight({ posts: ['accepted'], keepsVersions: true });

const SETTLED_TWICE = rewrittenInFlight({ posts: ['accepted'], isSettledTwice: true });

const ONE_TWIN = { posts: ['accepted'], deaths: 0, words: ['reports success'], withNextRun: false } as const;

/** The run posts once more what every queue has refused, while its first attempt may still be at work. */
const REFUSED_TWIN = { ...ONE_TWIN, posts: ['accepted', 'refused'] } as const;

test.each<[string, Mutation, Scenario, RegExp]>([
  ['the conditional intent', withoutIntent, twinOf('ingestUnit', REFUSED_TWIN), /counted as ingested once/],
  ['the fence', withoutFence, recheckBesideReport(['accepted'], 0, MINUTE), /live message/],
  ['one try', withoutOneTry, twoIngestUnits(['ambiguousArrived'], 0), /one live message/],
  ['the epoch', withoutEpoch, takenOverDuring('takeShard', ['accepted'], 0), /old epoch/],
  ['the memory of takeShard', withoutTurnMemory('lane-'), twinOf('takeShard', ONE_TWIN), /same answer/],
  ['the memory of takePosted', withoutTurnMemory('settler-'), twoTakePosted(0), /same answer/],
  [
    'the memory of planPage',
    withoutMemoryOf('/pages/'),
    planBesideEvent(2, 0),
    /called ingested is in the table/,
  ],
  ['outcomes written once', withoutMemoryOf('/outcomes/'), SETTLED_TWICE, /counts what the outcomes say/],
  ['a summary written once', withoutMemoryOf('/summary'), twinOf('finishRun', ONE_TWIN), /same answer/],
  [
    'numbers of attempts',
    withoutAttemptSeq,
    recheckBesideReport(['accepted'], 0),
    /attempt of its own|one source id/,
  ],
  ['the look at rewritten keys', withoutLookAtKeys, REWRITTEN, /named as unproven/],
  ['the note that a fate is unknown', withoutUnknownFate, REWRITTEN, /named as unproven/],
  ['version ids in URLs', withoutVersionIds, REWRITTEN_PINNED, /named as unproven/],
])(
  'without %s the model finds a violation',
  async (_, mutation, scenario, message) => {
    const recovered = new Set<string>();
    const { violation } = await explore(() => beginExecution(scenario, recovered, mutation));
    expect(violation?.message).toMatch(message);
  },
  120_000,
);

test(
  'nothing is posted again before the fence',
  () => expectNoViolation(recheckBesideReport(['accepted', 'ambiguousArrived'], 1, MINUTE)),
  120_000,
);

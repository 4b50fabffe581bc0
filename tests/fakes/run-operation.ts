import type { Operation, UndoOperation } from '../../shared/domain/operation.ts';
import { advanceOperation } from '../../shared/usecases/advance-operation.ts';
import type { Loader } from '../../shared/usecases/loader.ts';
import { findOperation } from '../../shared/usecases/operation-documents.ts';
import { startUndo } from '../../shared/usecases/undo-run.ts';
import type { MemoryOrchestrations, MortalHost } from './memory-orchestrations.ts';
import type { TestClock } from './test-loader.ts';

export interface DriveOperationOptions {
  /** Runs each activity twice, at the same time. */
  readonly twice?: boolean;
  readonly host?: MortalHost;
  readonly mostTurns?: number;
}

/** Carries the latest attempt of an operation out as its orchestrator does, and returns where it stands then. */
export async function driveOperation(
  loader: Loader,
  clock: TestClock,
  orchestrations: MemoryOrchestrations,
  { twice = false, host, mostTurns = 500 }: DriveOperationOptions = {},
): Promise<Operation> {
  const input = [...orchestrations.operations.values()].at(-1);
  if (input === undefined) throw new Error('No operation was started');
  for (let turn = 0; turn < mostTurns; turn += 1) {
    const deaths = host?.deaths();
    const activity = () => advanceOperation(loader, input);
    const [first] = await Promise.allSettled(twice ? [activity(), activity()] : [activity()]);
    if (host?.deaths() !== deaths) {
      host?.restart();
      continue;
    }
    if (first!.status === 'rejected') throw first!.reason;
    const { answer } = first!.value;
    if (answer.kind === 'stop') break;
    clock.advance(answer.waitMs);
  }
  return (await findOperation(loader, input.operationId))!.value;
}

/** Undoes the unit of a run. */
export async function undoRun(
  loader: Loader,
  clock: TestClock,
  orchestrations: MemoryOrchestrations,
  runId: string,
  options: DriveOperationOptions = {},
): Promise<UndoOperation> {
  clock.advance(1000);
  await startUndo(loader, orchestrations, runId);
  return (await driveOperation(loader, clock, orchestrations, options)) as UndoOperation;
}

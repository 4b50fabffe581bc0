import { app } from '@azure/functions';

globalThis.hookCalls = [];
app.hook.appStart(() => globalThis.hookCalls.push('appStart'));
app.hook.preInvocation((context) => {
  globalThis.hookCalls.push(`pre ${context.invocationContext.functionName}`);
});
app.hook.postInvocation((context) => {
  globalThis.hookCalls.push(`post ${context.invocationContext.functionName}`);
});
app.hook.appTerminate(() => console.error('terminated by the hook'));
app.hook.log((context) => {
  if (context.category === 'user') context.message = `seen: ${context.message}`;
});
